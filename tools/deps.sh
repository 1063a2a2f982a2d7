#!/usr/bin/env bash
# deps.sh [image|e2e]: installs what the build (or the image, or the end-to-end tests with it) needs and lacks, by apt,
# and says so.
set -euo pipefail

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

if [ "${1:-}" = image ] || [ "${1:-}" = e2e ]; then
  need buildah has buildah
  need ca-certificates test -f /etc/ssl/certs/ca-certificates.crt
fi
if [ "${1:-}" = e2e ]; then
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
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "saker needs: ${missing[*]}. Install them with your package manager (Debian: sudo apt-get install ${missing[*]})." >&2
  exit 1
fi
echo "saker: installing ${missing[*]} with apt-get"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
