#!/usr/bin/env bash
# run.sh: prints the tables of docs/performance.md: upstream's rules (where SAKER_FIXTURES has them), then
# target/release/saker-agent on this machine, which needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -p saker-bench
release=${CARGO_TARGET_DIR:-target}/release
echo "$(uname -sr), $(nproc) cores, $(date -u +%F)"
[ -n "${SAKER_FIXTURES:-}" ] || echo "skipped: upstream's rules (SAKER_FIXTURES names no folder that has them in rules/)"
cargo bench -p saker-bench --bench rules
"$release/saker-bench" audit "$release/saker-agent"
SAKER_ABUSE=long cargo test --release -p saker-agent --test agent audit_abuse:: -- --test-threads=1
[ "$(id -u)" = 0 ] || { echo "the agent is measured as root only: it loads its probe. Try: sudo make bench" >&2; exit 1; }
SAKER_SWAPS=long cargo test --release -p saker-agent --test agent swaps:: -- --test-threads=1
exec "$release/saker-bench" agent "$release/saker-agent"
