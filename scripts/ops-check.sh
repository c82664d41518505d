#!/usr/bin/env bash
# Every file of deploy/, observability/ and .github/ through the program that will read it, for
# `make ops-check`: a configuration that nothing has ever parsed is a guess.
#
#   scripts/ops-check.sh              all of scripts/ops-check.d/*.sh
#   scripts/ops-check.sh 50-systemd   those named
#
# Each of those prints lines that begin with `ok`, `FAIL` or `SKIPPED`; what else it prints is
# shown as it comes. A tool that is missing is named in a SKIPPED line, again in the last table,
# and is no failure: not every machine can have all of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

# The checks install their Python tools with it.
find_or_install_venv || true
checks=()
if [ $# = 0 ]; then
  # Files without a number are sourced by those that have one.
  checks=(scripts/ops-check.d/[0-9]*.sh)
else
  for name in "$@"; do
    checks+=("scripts/ops-check.d/${name%.sh}.sh")
  done
fi

lines=$(mktemp -d)
trap 'rm -rf "$lines"' EXIT

count_results() { grep -c "^$1 " "$2" || [ $? = 1 ]; } # WORD FILE

status=0 table=()
for check in "${checks[@]}"; do
  name=${check##*/} name=${name%.sh}
  printf '\n== %s\n' "$name"
  code=0
  "$check" </dev/null 2>&1 | tee "$lines/$name" || code=${PIPESTATUS[0]}
  passed=$(count_results ok "$lines/$name")
  failed=$(count_results FAIL "$lines/$name")
  skipped=$(count_results SKIPPED "$lines/$name")
  result=ok
  if [ "$failed" != 0 ]; then
    result=FAIL
  elif [ "$code" != 0 ]; then
    result="FAIL (exit code $code)"
  elif [ "$((passed + skipped))" = 0 ]; then
    result='FAIL (it checked nothing)'
  elif [ "$skipped" != 0 ]; then
    result='ok, in part'
    [ "$passed" != 0 ] || result=SKIPPED
  fi
  case $result in FAIL*) status=1 ;; esac
  printf -v row '%-20s %6s %6s %8s   %s' "$name" "$passed" "$failed" "$skipped" "$result"
  table+=("$row")
done

printf '\n%-20s %6s %6s %8s   %s\n' check ok FAIL SKIPPED result
printf '%s\n' "${table[@]}"
grep -h -E '^(FAIL|SKIPPED) ' "$lines"/* || true
exit "$status"
