#!/usr/bin/env bash
# Runs the documented commands that are neither a check nor a test suite, in a short form:
#
#   scripts/test-commands.sh
#
# `make test-commands` calls it, and CI does after the tests. It removes `.data` at the end, as
# `make clean-data` does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

# step COMMAND...: runs it and shows the time since the start.
step() {
  log_progress "$*"
  "$@"
  log_progress "$*: passed after $SECONDS s"
}

step make help
step make test-contract ARGS=5
# `make test` has run all drills.
step make drills ARGS=redis_killed
# Dev builds on shared machines: the thresholds for latency and load shedding are off.
export ORDERLY_LOAD_PROFILE=dev
step make load ARGS='--duration 10s --rate 5 --max-p99 30s --max-shed-rate 1'
step make bench ARGS='--rounds 1 --seconds 2 --min-ratio 0 --result .data/bench.md'
step make certs
# Calls `make fork`.
step make test-fork
step make services CMD=true
# `make run` and `make clean-data`.
step scripts/test-run.sh
