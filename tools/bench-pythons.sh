#!/usr/bin/env bash
# The benchmark suite on several Pythons, one after the other: a table for each.
#
#   tools/bench-pythons.sh VERSION... [-- OPTION...]     e.g. tools/bench-pythons.sh 3.13 3.14 -- --quick
#
# OPTIONs are those of `python -m benches`. A version is looked for as python3.X in PATH and among
# pyenv's; 3.14 and 3.15, where the machine has none, in the Debian tree of tools/sid-python.sh.
# Each has an environment of its own in build/bench, with Batuta built for release into it, and
# leaves its report in build/bench/results, as VERSION.md and VERSION.json; one of all rows, measured
# in full, goes to docs/benchmarks as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

say() { printf '==> %s\n' "$*"; }

fail() {
  printf 'bench-pythons: %s\n' "$*" >&2
  exit 1
}

# find_python VERSION: the path of an interpreter of that version, newest release first.
find_python() {
  local candidate
  while read -r candidate; do
    [[ -n $candidate ]] || continue
    if [[ $("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) == "$1" ]]; then
      printf '%s\n' "$candidate"
      return
    fi
  done < <(
    type -aP "python$1" || true
    compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1.*/bin/python" | sort -rV || true
  )
  return 1
}

measure() {
  local version=$1 python root=$PWD run=()
  shift
  if python=$(find_python "$version"); then
    say "Python $version: $python"
  elif [[ $version == 3.1[45] ]]; then
    say "Python $version: that of the Debian tree"
    tools/sid-python.sh create || return
    python=python$version
    run=(tools/sid-python.sh run)
    root=/batuta
  else
    printf 'bench-pythons: no Python %s here: install it, or leave it out\n' "$version" >&2
    return 1
  fi
  # A build folder for each: what Cargo keeps is for one version and one C library at a time.
  local place=$root/build/bench
  run+=(env BATUTA_REVISION="$revision" CARGO_TARGET_DIR="$place/target-$version")
  "${run[@]}" PYTHON="$python" VENV="$place/own-$version" tools/setup.sh bench || return
  local page=(--page docs/benchmarks)
  [[ ! " $* " =~ \ --(only|quick|loops)[\ =] ]] || page=()
  "${run[@]}" "$place/own-$version/bin/python" -m benches "${page[@]}" \
    --markdown "$place/results/$version.md" --json "$place/results/$version.json" "$@"
}

versions=()
while (($#)) && [[ $1 != -- ]]; do
  versions+=("$1")
  shift
done
(($# == 0)) || shift
((${#versions[@]})) || fail "which versions?"
revision=$(git describe --always --dirty --abbrev=12 2>/dev/null || true)

failed=()
for version in "${versions[@]}"; do
  measure "$version" "$@" || failed+=("$version")
done
if ((${#failed[@]})); then
  fail "on Python ${failed[*]} something is missing or has failed: see above"
fi
