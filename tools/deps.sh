#!/usr/bin/env bash
# deps.sh [PART...]: installs what the build and these parts need and lack, by apt, and says so.
#
#   image   what makes the container image of the programs
#   e2e     what the end-to-end tests need, the image with them
#   arm64   what builds for 64-bit ARM on another machine (Debian 12)
#   qemu    what runs programs and kernels of 64-bit ARM there
set -euo pipefail
parts=" $* "

missing=()
need() { # PACKAGE TEST...: asks for PACKAGE when TEST fails
  local package=$1; shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}

clang_for_bpf() { # Debian 12 has clang 14 as `clang`; any from 12 on will do
  local compiler
  for compiler in "${CLANG:-}" clang clang-19; do
    [ -n "$compiler" ] && echo 'int x;' | "$compiler" -target bpfel -mcpu=v2 -x c -c - -o /dev/null && return
  done
  return 1
}

need clang clang_for_bpf
need libbpf-dev test -f /usr/include/bpf/bpf_helpers.h
need gcc sh -c 'command -v cc'
has() { command -v "$1"; }

part() { [[ $parts == *" $1 "* ]]; }

if part image || part e2e; then
  need buildah has buildah
  need ca-certificates test -f /etc/ssl/certs/ca-certificates.crt
fi
if part e2e; then
  need etcd-server has etcd
  need openssl has openssl
  need curl has curl
  # What the node is made of; e2e/node.sh says what else a machine must have.
  need containerd has containerd
  need runc has runc
  need containernetworking-plugins test -x /usr/lib/cni/bridge
  need busybox-static has busybox
  need iproute2 has ip
  need iptables has iptables
  need procps has sysctl
fi
# rustup's toolchain has the standard library of its own machine; its `cargo` does with Debian's `rustc` (tools/cross.sh).
arm64_std() { "$(dirname "$0")/cross.sh" aarch64-unknown-linux-gnu true; }
if part arm64 && [ "$(uname -m)" != aarch64 ]; then
  need gcc-aarch64-linux-gnu has aarch64-linux-gnu-gcc
  need libc6-dev-arm64-cross test -f /usr/aarch64-linux-gnu/lib/libc.a
  need rustc-web arm64_std
  need libstd-rust-web-dev:arm64 arm64_std
fi
if part qemu; then
  need qemu-user-static has qemu-aarch64-static
  need qemu-system-arm has qemu-system-aarch64
  need busybox-static has busybox
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "saker needs: ${missing[*]}. Install them with your package manager (Debian: sudo apt-get install ${missing[*]})." >&2
  exit 1
fi
echo "saker: installing ${missing[*]} with apt-get"
export DEBIAN_FRONTEND=noninteractive
if [[ ${missing[*]} == *:arm64* ]]; then dpkg --add-architecture arm64; fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
