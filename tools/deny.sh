#!/usr/bin/env bash
# deny.sh: cargo-deny over the dependency list. The advisory database cannot be downloaded everywhere:
# then that check is said to be skipped, never passed.
set -euo pipefail
cache=${SAKER_CACHE:-/var/cache/saker}
export PATH=$PATH:$cache/cargo/bin
if ! command -v cargo-deny >/dev/null; then
  echo "saker: installing cargo-deny into $cache/cargo (once, some minutes)"
  cargo install --quiet --locked --root "$cache/cargo" cargo-deny@0.20.2
fi
cargo deny --all-features check --hide-inclusion-graph bans licenses sources
if cargo deny --all-features fetch db 2>/dev/null; then
  cargo deny --all-features check advisories
else
  echo "skipped: cargo-deny advisories (the advisory database cannot be downloaded here)"
fi
