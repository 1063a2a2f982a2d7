#!/usr/bin/env bash
# test.sh ARG...: cargo test with these arguments, the skipped parts named at the end, then the totals on one line.
# What hangs is ended after $SAKER_TEST_LIMIT. Property tests draw the same cases each time, so that a change is judged by
# itself; `make fuzz` draws others.
set -uo pipefail
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
timeout --kill-after=30 "${SAKER_TEST_LIMIT:-40m}" cargo test --no-fail-fast "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
[ "$status" != 124 ] || echo "not done within ${SAKER_TEST_LIMIT:-40m}: the last test above hangs" >&2
grep -hoE 'skipped: .*' "$log" | sort | uniq -c | sed 's/^ */  /'
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"
exit "$status"
