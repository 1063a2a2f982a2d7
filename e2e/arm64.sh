#!/usr/bin/env bash
# arm64.sh ARCHIVE: proves the image for 64-bit ARM on a machine of another kind.
#
# qemu-user runs its programs: the tests of the command line pass with that `saker`, captures with Falco's own answers
# among them. Then Debian's kernel for arm64 boots in an emulated machine with the programs of the image and the live
# tests of the probe (arm64-init.sh): the probe is loaded, its hooks report, and a file that is written is an alert.
#
# KERNEL names another kernel than Debian's, which is kept in SAKER_CACHE.
set -euo pipefail
archive=$(realpath "${1:?the archive that tools/image.sh wrote}")
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
cache=${SAKER_CACHE:-/var/cache/saker}/arm64
kernel=${KERNEL:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. e2e/part.sh

# The image's files, from its layers.
unpack() {
  local layer
  mkdir "$work/archive" "$work/image"
  tar -xf "$archive" -C "$work/archive"
  for layer in $(sed 's/.*"Layers":\[\([^]]*\)\].*/\1/; s/[",]/ /g' "$work/archive/manifest.json"); do
    tar -xf "$work/archive/$layer" -C "$work/image"
  done
}

# Programs of that name which run those of the image.
emulated() {
  local name
  mkdir "$work/bin"
  for name in saker saker-agent saker-operator; do
    printf '#!/bin/sh\nexec qemu-aarch64-static -0 %s %s "$@"\n' "$name" "$work/image/saker" >"$work/bin/$name"
    chmod +x "$work/bin/$name"
  done
}

contents() {
  [ "$(gzip <"$archive" | wc -c)" -le $((25 * 1024 * 1024)) ] &&
    SAKER_IMAGE=$archive tools/test.sh --locked -p saker-e2e --test image_e2e
}

programs() {
  local name
  emulated
  for name in saker saker-agent saker-operator; do "$work/bin/$name" --version || return 1; done
  SAKER_BIN_DIR=$work/bin tools/test.sh --locked -p saker-cli --test captures --test corpus --test describe --test docs \
    --test doctor --test explain --test fields --test fmt --test replay --test rules_test --test validate
}

# Debian's newest kernel for arm64, a static busybox and a program that is not static, downloaded once and not installed.
debian() {
  local package file
  mkdir -p "$cache"
  package=$(apt-cache depends linux-image-cloud-arm64:arm64 | sed -n 's/^ *Depends: \(linux-image-.*\):arm64$/\1/p')
  if [ ! -e "$cache/$package" ]; then
    rm -rf "$cache"/*
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download {"$package",busybox-static,coreutils,libc6}:arm64)
    for file in "$work"/*.deb; do dpkg-deb -x "$file" "$cache"; done
    touch "$cache/$package"
  fi
  : "${kernel:=$(echo "$cache"/boot/vmlinuz-*)}"
}

# The live tests of the probe as a static program.
live_tests() {
  RUSTFLAGS='-C target-feature=+crt-static' tools/cross.sh $target \
    cargo test --locked --no-run --target $target -p saker-source-syscall --test live --message-format json |
    sed -n 's/.*"kind":\["test"\].*"executable":"\([^"]*\)".*/\1/p' >"$work/tests"
  [ -s "$work/tests" ] && install -D "$(tail -1 "$work/tests")" "$work/root/tests/live"
}

# The files of the image, busybox, the tests: what the machine begins with.
initramfs() {
  local root=$work/root
  mkdir -p "$root"/{bin,dev,etc,lib,proc,run,sys,tmp,usr,var/lib}
  cp -a "$work/image/." "$root"
  cp "$cache"/bin/{busybox,true,false} "$root/bin"
  cp -L "$cache"/lib/aarch64-linux-gnu/{ld-linux-aarch64.so.1,libc.so.6} "$root/lib"
  cp e2e/arm64-init.sh "$root/init"
  echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
  echo arm64 >"$root/etc/hostname"
  (cd "$root" && find . | busybox cpio -o -H newc | gzip -1) >"$work/initramfs" 2>/dev/null
}

boot() {
  timeout 1200 qemu-system-aarch64 -M virt -cpu cortex-a72 -smp 2 -m 2048 -nographic -no-reboot -net none \
    -kernel "$kernel" -initrd "$work/initramfs" -append "console=ttyAMA0 panic=-1 quiet" </dev/null |
    sed -u 's|\r||g' | tee "$work/console"
  grep -q '^arm64: all is well$' "$work/console"
}

machine() { debian && live_tests && initramfs && boot; }

unpack
part "the image, at most 25 MiB" contents
part "programs of the image by qemu-user" programs
part "programs of the image on an emulated machine" machine
exit $status
