#!/usr/bin/env bash
# Every check that reads the code without running it. All are made, then it fails if one failed.
# VENV as in setup.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$(realpath "${VENV:-.venv}")
export PATH=$venv/bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
export PYO3_PYTHON=${PYO3_PYTHON:-$venv/bin/python}
failed=()

check() {
  printf '==> %s\n' "$*"
  "$@" || failed+=("$*")
}

check cargo fmt --all --check
check cargo clippy --workspace --all-targets --keep-going --quiet -- -D warnings
check ruff check --quiet .
check ruff format --quiet --check .
for version in 3.11 3.12 3.13 3.14; do
  check mypy --strict --no-error-summary --python-version "$version" python/batuta tests/type_checkers
done
check mypy --strict --no-error-summary apps/photos/batuta_photos apps/photos/fake/fake_google_photos
check python -m mypy.stubtest --concise batuta

if ((${#failed[@]})); then
  printf '\n%d checks failed:\n' "${#failed[@]}"
  printf '  %s\n' "${failed[@]}"
  exit 1
fi
printf 'all checks passed\n'
