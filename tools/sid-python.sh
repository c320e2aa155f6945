#!/usr/bin/env bash
# CPython 3.14 and 3.15 on a Debian machine that has neither: a Debian sid tree, entered by chroot.
#
#   tools/sid-python.sh create            make the tree if it is not there: two minutes, 2 GB
#   tools/sid-python.sh run COMMAND...    make it if need be and run a command inside
#
# Inside, this checkout is /batuta and the working folder, and the Rust toolchain of this machine
# is the one outside. All mounts are made in a mount namespace of the command's own: they end with
# it, however it ends, and several checkouts may use one tree at the same time.
#
# Environment: BATUTA_SID (place of the tree, default ~/.cache/batuta/sid), BATUTA_MIRROR (Debian
# mirror, default: the one this machine's apt uses). Needs root; debootstrap is installed if absent.
set -euo pipefail
checkout=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
tree=${BATUTA_SID:-${XDG_CACHE_HOME:-$HOME/.cache}/batuta/sid}
versions=(3.14 3.15)
# What builds need, and what the tests need: `ps`, a time zone for PostgreSQL, servers, a browser.
packages=(ca-certificates gcc libc6-dev libssl-dev make procps tzdata)
programs=(redis-server postgresql chromium)

say() { printf '==> %s\n' "$*"; }

fail() {
  printf 'sid-python: %s\n' "$*" >&2
  exit 1
}

find_mirror() {
  if [[ -n ${BATUTA_MIRROR:-} ]]; then
    printf '%s\n' "$BATUTA_MIRROR"
  else
    # shellcheck disable=SC2016  # the names are apt's
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
      grep -v security | head -n 1
  fi
}

quietly() {
  local log=$tree.log
  "$@" >>"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    fail "failed: $1 (the whole log is in $log)"
  }
}

create() {
  mkdir -p "$(dirname "$tree")"
  exec 9>"$tree.lock"
  flock 9
  if [[ ! -e $tree/.complete ]]; then
    : >"$tree.log"
    if ! command -v debootstrap >/dev/null; then
      say "installing debootstrap"
      quietly apt-get update -qq
      quietly apt-get install -y -qq --no-install-recommends debootstrap
    fi
    local mirror include
    mirror=$(find_mirror)
    [[ -n $mirror ]] || fail "found no Debian mirror in apt's sources; name one in BATUTA_MIRROR"
    for version in "${versions[@]}"; do
      packages+=("python$version" "python$version-dev" "python$version-venv" "libpython$version-testsuite")
    done
    include=$(
      IFS=,
      printf '%s' "${packages[*]}"
    )
    say "making a Debian sid tree with Python ${versions[*]} in $tree"
    rm -rf --one-file-system "$tree"
    quietly debootstrap --variant=minbase --include="$include" sid "$tree" "${mirror%/}"
    # Servers are started by the tests alone.
    printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
    chmod +x "$tree/usr/sbin/policy-rc.d"
    mkdir -p "$tree/etc/postgresql-common"
    printf 'create_main_cluster = false\n' >"$tree/etc/postgresql-common/createcluster.conf"
    touch "$tree/.complete"
  fi
  # Also into a tree that was made when the tests needed less.
  if [[ $(<"$tree/.complete") != "${programs[*]}" ]]; then
    say "installing ${programs[*]} into it"
    local install=(in_tree env DEBIAN_FRONTEND=noninteractive
      apt-get install -y -qq --no-install-recommends "${programs[@]}")
    # An older tree knows packages that the mirror may have replaced.
    "${install[@]}" >>"$tree.log" 2>&1 || {
      quietly in_tree apt-get update -qq
      quietly "${install[@]}"
    }
    in_tree apt-get clean
    printf '%s\n' "${programs[*]}" >"$tree/.complete"
  fi
  exec 9>&-
}

# in_tree COMMAND...: run a command in the tree, with the mounts it needs and no others' business.
in_tree() {
  local rustup=${RUSTUP_HOME:-$HOME/.rustup} cargo=${CARGO_HOME:-$HOME/.cargo}
  mkdir -p "$tree/batuta" "$tree/opt/rustup" "$tree/opt/cargo" "$tree/root"
  cp /etc/resolv.conf /etc/hosts "$tree/etc/"
  # The certificates this machine trusts, its own additions included.
  if [[ -f /etc/ssl/certs/ca-certificates.crt && -d $tree/etc/ssl/certs ]]; then
    cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
  fi
  # shellcheck disable=SC2016  # expanded by the inner shell
  TREE=$tree CHECKOUT=$checkout RUSTUP=$rustup CARGO=$cargo \
    unshare --mount --propagation private bash -euc '
      mount -t proc proc "$TREE/proc" 2>/dev/null || mount --bind /proc "$TREE/proc"
      mount --rbind /dev "$TREE/dev"
      mount -t tmpfs -o mode=1777 tmpfs "$TREE/tmp"
      mount --bind "$CHECKOUT" "$TREE/batuta"
      [[ ! -d $RUSTUP ]] || mount --bind "$RUSTUP" "$TREE/opt/rustup"
      [[ ! -d $CARGO ]] || mount --bind "$CARGO" "$TREE/opt/cargo"
      unset RUSTUP CARGO CHECKOUT
      exec env --unset=TREE --unset=PIP_FIND_LINKS \
        HOME=/root RUSTUP_HOME=/opt/rustup CARGO_HOME=/opt/cargo LANG=C.UTF-8 \
        PATH=/opt/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$TREE" /bin/sh -c "cd /batuta && exec \"\$@\"" sh "$@"
    ' bash "$@"
}

((EUID == 0)) || fail "needs root, for chroot"
case ${1:-} in
create)
  create
  ;;
run)
  shift
  (($#)) || fail "run what?"
  create
  in_tree "$@"
  ;;
*)
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
  exit 2
  ;;
esac
