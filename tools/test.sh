#!/usr/bin/env bash
# The tests: those of the Rust crates, then those in Python.
#
#   tools/test.sh [PYTEST ARGUMENTS...]
#
# Without arguments the tests of the application in apps/ run beside the others, as both wait more
# than they compute; what they print comes after the others.
#
# With CI=true or BATUTA_REQUIRE_ALL=1 a test that is left out because something is not installed
# counts as a failure. VENV as in setup.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${VENV:-.venv}
export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
export PYO3_PYTHON=${PYO3_PYTHON:-$(realpath "$venv")/bin/python}
[[ ${CI:-} == true ]] && export BATUTA_REQUIRE_ALL=1
pytest=("$venv/bin/python" -m pytest)

printf '==> Rust tests\n'
cargo test --workspace --quiet

printf '==> Python tests\n'
(($# == 0)) || exec "${pytest[@]}" "$@"

log=$(mktemp)
# A shell has its background jobs ignore SIGINT, and then what is tested would, too.
env --default-signal=INT "${pytest[@]}" -o cache_dir=.pytest_cache/apps apps >"$log" 2>&1 &
apps=$!
trap 'kill "$apps" 2>/dev/null || true; rm -f "$log"' EXIT
code=0
"${pytest[@]}" tests || code=$?
# 2: the run was interrupted.
((code != 2)) || exit "$code"
wait "$apps" || code=$?
trap 'rm -f "$log"' EXIT
printf '==> Python tests of the application\n'
cat "$log"
exit "$code"
