#!/usr/bin/env bash
# static.sh TARGET: the three programs, statically linked, in target/TARGET/release.
set -euo pipefail
# With a target of its own, crt-static does not reach procedural macros and build scripts, which must be dynamic.
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static -C strip=symbols"
cargo build --release --locked --target "${1:?a target}" -p saker-agent -p saker-operator -p saker-cli --bins
