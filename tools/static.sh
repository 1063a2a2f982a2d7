#!/usr/bin/env bash
# static.sh TARGET: the three programs as one statically linked file with three names, in target/TARGET/programs.
set -euo pipefail
# With a target of its own, crt-static does not reach procedural macros and build scripts, which must be dynamic.
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static -C strip=symbols"
tools/cross.sh "${1:?a target}" cargo build --release --locked --target "$1" -p saker-image
built=${CARGO_TARGET_DIR:-target}/$1
install -D "$built/release/saker-image" "$built/programs/saker"
ln -sf saker "$built/programs/saker-agent"
ln -sf saker "$built/programs/saker-operator"
