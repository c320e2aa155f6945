#!/usr/bin/env bash
# The tests: those of the Rust crates, then those in Python.
#
#   tools/test.sh [PYTEST ARGUMENTS...]
#
# With CI=true or BATUTA_REQUIRE_ALL=1 a test that is left out because something is not installed
# counts as a failure. VENV as in setup.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${VENV:-.venv}
export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
export PYO3_PYTHON=${PYO3_PYTHON:-$(realpath "$venv")/bin/python}
[[ ${CI:-} == true ]] && export BATUTA_REQUIRE_ALL=1

printf '==> Rust tests\n'
cargo test --workspace --quiet
printf '==> Python tests\n'
exec "$venv/bin/python" -m pytest "$@"
