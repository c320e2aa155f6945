#!/usr/bin/env bash
# Every check that reads the code without running it. Stops at the first that finds something.
# VENV as in setup.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$(realpath "${VENV:-.venv}")
export PATH=$venv/bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
export PYO3_PYTHON=${PYO3_PYTHON:-$venv/bin/python}

check() {
  printf '==> %s\n' "$*"
  "$@"
}

check cargo fmt --all --check
check cargo clippy --workspace --all-targets --quiet -- -D warnings
check ruff check --quiet .
check ruff format --quiet --check .
for version in 3.11 3.12 3.13 3.14; do
  check mypy --strict --no-error-summary --python-version "$version" python/batuta
done
check python -m mypy.stubtest --concise batuta._batuta
