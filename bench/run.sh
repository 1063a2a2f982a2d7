#!/usr/bin/env bash
# run.sh: measures target/release/saker-agent on this machine (needs root) and prints the table of docs/performance.md.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "make bench needs root: the agent loads its probe. Try: sudo make bench" >&2; exit 1; }
cargo build --release -p saker-bench
release=${CARGO_TARGET_DIR:-target}/release
echo "$(uname -sr), $(nproc) cores, $(date -u +%F)"
"$release/saker-bench" "$release/saker-agent"
SAKER_ABUSE=long cargo test --release -p saker-agent --test agent audit_abuse:: -- --test-threads=1
