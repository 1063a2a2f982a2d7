#!/usr/bin/env bash
# image.sh OUT.tar [NAME]: the image of the Dockerfile as a docker archive, without a Docker engine: the programs are
# built here with the toolchain of this checkout and take the place of the Dockerfile's stage `build`.
#
# TARGET=aarch64-unknown-linux-gnu builds for 64-bit ARM, given a linker and the standard library for it
# (docs/install.md). buildah is Debian's; it needs neither a daemon nor root.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?where to write the archive}")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=${2:-localhost/saker:$version}
target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}

tools/static.sh "$target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "${CARGO_TARGET_DIR:-target}/$target/programs" "$work/out"
tools/sbom.sh "$target" >"$work/out/sbom.cdx.json"
install -D -m 0644 -t "$work/etc/ssl/certs" /etc/ssl/certs/ca-certificates.crt

store=(--root "$work/store" --runroot "$work/run" --storage-driver vfs)
case $target in aarch64-*) arch=arm64 ;; *) arch=amd64 ;; esac
buildah "${store[@]}" bud --quiet --isolation chroot --arch $arch --build-context "build=$work" \
  --label "org.opencontainers.image.version=$version" \
  --label "org.opencontainers.image.revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
  --tag "$name" --file Dockerfile . >/dev/null
mkdir -p "$(dirname "$out")"
rm -f "$out"
buildah "${store[@]}" push --quiet "$name" "docker-archive:$out:$name"
echo "image: $name, $(gzip -1 <"$out" | wc -c | awk '{ printf "%.1f", $1 / 1048576 }') MiB compressed, in $out"
