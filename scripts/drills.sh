#!/usr/bin/env bash
# Runs the drills, or those whose names contain one of the words given, and prints
# their table; see service/tests/drills. They need nothing that runs: each brings its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ORDERLY_DRILL_REPORT=$(mktemp)
export ORDERLY_DRILL_REPORT
trap 'rm -f "$ORDERLY_DRILL_REPORT"' EXIT

status=0
scripts/cargo.sh test ${CI:+--locked} -p orderly --test drills -- --test-threads=1 --nocapture "$@" || status=$?
printf '\n%-19s %-46s %8s %8s  %s\n' DRILL RESPONSES "MAX WAIT" RECOVERY RESULT
cat "$ORDERLY_DRILL_REPORT"
exit "$status"
