#!/usr/bin/env bash
# Everything that the other commands need: a virtual environment with the packages of the groups
# named as arguments (dependency-groups of pyproject.toml), and Batuta built into it.
#
#   tools/setup.sh [GROUP...]      e.g. tools/setup.sh examples
#
# Environment: PYTHON (the interpreter to use, default python3), VENV (default .venv).
# Says what it does in one line each and what is missing with how to get it. Does nothing when
# nothing has changed: stamps with the hash of the inputs lie in the environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
venv=${VENV:-.venv}
stamps=$venv/.batuta
oldest_rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)

say() { printf '==> %s\n' "$*"; }

missing() {
  printf '\nMissing: %s\n' "$1" >&2
  shift
  printf '  %s\n' "$@" >&2
  exit 1
}

check_tools() {
  [[ $(uname -s) == Linux ]] || missing "Linux" "Batuta runs on Linux only for now."
  command -v "$python" >/dev/null || missing "Python ($python is not there)" \
    "Debian, Ubuntu: apt-get install python3 python3-venv" \
    "Fedora: dnf install python3" \
    "or name another one: make PYTHON=/path/to/python3.13 ..."
  local found
  found=$("$python" -c 'import sys; print("%d.%d %s" % (*sys.version_info[:2], sys.implementation.name))')
  "$python" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info and sys.implementation.name == "cpython"))' ||
    missing "CPython 3.11 or newer ($python is $found)" \
      "Debian, Ubuntu: apt-get install python3 python3-venv (where that is at least 3.11)" \
      "any Linux: pyenv install 3.13, or uv python install 3.13" \
      "then name it: make PYTHON=/path/to/python3.13 ..."
  "$python" -c 'import venv, ensurepip' 2>/dev/null || missing "the modules venv and ensurepip of $python" \
    "Debian, Ubuntu: apt-get install python3-venv"
  if ! command -v cargo >/dev/null; then
    [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]] || missing "Rust (no cargo)" \
      "Install it with rustup: see https://rustup.rs" \
      "Debian 13, Ubuntu 25.04 or newer: apt-get install cargo"
    export PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  fi
  local rust
  rust=$(cargo --version | cut -d ' ' -f 2) || missing "a Rust toolchain (cargo is there but does not run)" \
    "rustup default stable"
  [[ $(printf '%s\n%s\n' "$oldest_rust" "$rust" | sort -V | head -n 1) == "$oldest_rust" ]] ||
    missing "Rust $oldest_rust or newer (cargo is $rust)" "rustup update stable"
  command -v cc >/dev/null || missing "a C compiler, which Rust needs as its linker (no cc)" \
    "Debian, Ubuntu: apt-get install gcc libc6-dev" \
    "Fedora: dnf install gcc"
}

make_venv() {
  local wanted have
  wanted=$("$python" -c 'import sys; print(sys.version)')
  if [[ -x $venv/bin/python ]] && have=$("$venv/bin/python" -c 'import sys; print(sys.version)' 2>/dev/null); then
    # An environment that is there stays, unless another Python is asked for by name.
    [[ -z ${PYTHON:-} || $have == "$wanted" ]] && return
    say "$venv has Python ${have%% *}; making it anew with ${wanted%% *}"
    rm -rf "$venv"
  else
    say "making the virtual environment $venv with Python ${wanted%% *}"
  fi
  "$python" -m venv --clear "$venv"
}

# up_to_date NAME HASH: whether the stamp NAME holds HASH.
up_to_date() { [[ -f $stamps/$1 && $(<"$stamps/$1") == "$2" ]]; }

stamp() {
  mkdir -p "$stamps"
  printf '%s\n' "$2" >"$stamps/$1"
}

install_groups() {
  local hash group groups=()
  hash=$(sed -n '/^\[dependency-groups\]/,/^\[tool/p' pyproject.toml | sha256sum)
  for group; do
    up_to_date "group-$group" "$hash" || groups+=("$group")
  done
  ((${#groups[@]})) || return 0
  say "installing the Python packages of: ${groups[*]}"
  "$venv/bin/python" -m pip --version | grep -Eq '^pip (2[5-9]\.[1-9]|2[6-9]|[3-9][0-9])' ||
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${groups[@]/#/--group=}"
  for group in "${groups[@]}"; do stamp "group-$group" "$hash"; done
}

# What lies beside the sources: two environments of one Python share it, and `maturin develop`
# without --release replaces it, so the inputs alone do not say what is in place.
module_in_place() {
  "$venv/bin/python" - <<'PROGRAM' 2>/dev/null
import os, batuta._batuta as native
found = os.stat(native.__file__)
print(found.st_mtime_ns, found.st_size, native.__build__)
PROGRAM
}

build() {
  local hash place
  hash=$(
    {
      find Cargo.toml Cargo.lock pyproject.toml crates/engine crates/python .cargo rust-toolchain.toml \
        -type f -print0 2>/dev/null | sort -z | xargs -0 sha256sum
      cargo --version
      "$venv/bin/python" -c 'import sys; print(sys.version)'
    } | sha256sum
  )
  place=$(module_in_place || true)
  if [[ $place == *release* ]] && up_to_date build "$hash $place"; then
    return
  fi
  say "building Batuta into $venv (release profile: the first time takes a minute or two)"
  local log=$stamps/build.log
  mkdir -p "$stamps"
  VIRTUAL_ENV=$PWD/$venv
  [[ $venv == /* ]] && VIRTUAL_ENV=$venv
  export VIRTUAL_ENV
  if ! "$venv/bin/maturin" develop --release --quiet >"$log" 2>&1; then
    cat "$log" >&2
    printf '\nThe build failed; the whole log is in %s\n' "$log" >&2
    exit 1
  fi
  "$venv/bin/python" -c 'import batuta; print("==> Batuta", batuta.__version__, "is in place")'
  place=$(module_in_place)
  stamp build "$hash $place"
}

# The application in apps/photos, from its sources: the command batuta-photos. What it needs is in
# the group of that name.
install_photos() {
  local hash
  hash=$(sha256sum apps/photos/pyproject.toml)
  up_to_date photos "$hash" && return
  say "installing batuta-photos from apps/photos"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable apps/photos
  stamp photos "$hash"
}

check_tools
make_venv
install_groups build "$@"
build
case " $* " in *" photos "* | *" test "* | *" lint "*) install_photos ;; esac
