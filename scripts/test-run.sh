#!/usr/bin/env bash
# Tries `make run` as its user would: starts it, types the lines of its banner, presses
# Ctrl-C, starts it again on the same data, and at last removes the data with
# `make clean-data`. For pipelines: it removes the data of this checkout.
set -euo pipefail
# Job control: a job of its own process group, to which Ctrl-C can be sent.
set -m
cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=$(mktemp)
job=

fail() {
  printf 'test-run: %s\n' "$1" >&2
  cat "$log" >&2
  [ -z "$job" ] || kill -TERM -- "-$job" 2>/dev/null || true
  exit 1
}

start_run() {
  make run >"$log" 2>&1 </dev/null &
  job=$!
  for _ in $(seq 600); do
    grep -q 'Ctrl-C stops everything' "$log" && return
    kill -0 "$job" 2>/dev/null || fail 'make run ended before its banner'
    sleep 1
  done
  fail 'make run showed no banner in ten minutes'
}

place_order() {
  local code=0 output
  sed -n '/^TOKEN=/,/^until/p' "$log" >"$log.lines"
  output=$(timeout 120 bash "$log.lines" 2>&1) || code=$?
  case $code$output in 0*'"status":"paid"'*) ;; *) fail "the order was not paid (exit code $code): $output" ;; esac
}

stop_run() {
  kill -INT -- "-$job"
  wait "$job" || true
  job=
  local code=0
  pgrep -f "$PWD/.data/run" >/dev/null || code=$?
  case $code in
    0) fail 'a process was left behind' ;;
    1) ;; # there is none
    *) fail "pgrep can't list processes (exit code $code)" ;;
  esac
}

for round in first second; do
  printf '==> make run, for the %s time\n' "$round"
  start_run
  place_order
  stop_run
done
grep -q '^products: 0 added' "$log" || fail 'the second run did not reuse the data'
make clean-data
[ ! -e .data/run ] || fail 'make clean-data left the data'
rm -f "$log" "$log.lines"
printf '==> make run works\n'
