#!/usr/bin/env bash
# The end-to-end proof: starts a control plane, runs the tests against it, removes everything again.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --bins
SAKER_BIN_DIR=${CARGO_TARGET_DIR:-$PWD/target}/debug
export SAKER_BIN_DIR

e2e/control-plane.sh tools
SAKER_E2E_DIR=$(mktemp -d)
export SAKER_E2E_DIR
trap 'e2e/control-plane.sh down "$SAKER_E2E_DIR"' EXIT
started=$(date +%s.%N)
e2e/control-plane.sh up "$SAKER_E2E_DIR"
awk -v a="$started" -v b="$(date +%s.%N)" 'BEGIN { printf "control plane ready after %.1f s\n", b - a }'

# One at a time: they share the cluster and the audit port.
tools/test.sh -p saker-e2e -- --test-threads=1
