#!/usr/bin/env bash
# systemd units: read by systemd itself, scored for what they leave open, and held to the
# program: it takes the settings, and the time to stop is the time its shutdown needs.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/ops-check.d/build.sh
. scripts/ops-check.d/build.sh

# Of 100, the less the better: what remains is the network, which a service needs.
readonly MAX_EXPOSURE=15
UNITS=(deploy/systemd/orderly.service deploy/backup/orderly-backup.service deploy/backup/orderly-backup.timer)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# systemd-analyze wants to find what a unit starts; and it exits with 0 for a key that it does
# not know, so silence is what counts.
verify_units() {
  local unit output
  for unit in "${UNITS[@]}"; do
    sed -e "s|=/usr/bin/orderly |=$BINARY |" -e "s|=/usr/lib/orderly/backup.sh |=$PWD/deploy/backup/backup.sh |" \
      "$unit" >"$work/$(basename "$unit")"
  done
  for unit in "${UNITS[@]}"; do
    output=$(systemd-analyze verify --man=no "$work/$(basename "$unit")" 2>&1) || output+=" (exit code $?)"
    if [ -z "$output" ]; then report_ok "systemd-analyze verify $unit"; else report_failure "systemd-analyze verify $unit: $output"; fi
  done
}

score_units() {
  local unit
  for unit in "${UNITS[@]}"; do
    case $unit in *.timer) continue ;; esac
    run_check "$unit leaves little open: $(systemd-analyze security --offline=yes "$unit" | tail -n 1 | sed 's/.*: \([0-9.]*\).*/\1/') of 10" \
      systemd-analyze security --offline=yes --threshold="$MAX_EXPOSURE" "$unit"
  done
}

check_against_program() {
  local unit=deploy/systemd/orderly.service settings grace stop
  create_secrets "$work/secrets"
  mapfile -t settings < <(sed -n 's/^Environment=\(ORDERLY_.*\)/\1/p' "$unit" |
    sed -e "s|%d|$work/secrets|" -e "s|/etc/orderly|config|")
  if ! env -i "${settings[@]}" "$BINARY" config >"$work/config" 2>"$work/output"; then
    report_failure "$unit: with its Environment, orderly says: $(cat "$work/output")"
    return
  fi
  report_ok "$unit: orderly takes its Environment"
  grace=$(awk '$1 == "shutdown.grace_period" { print $2 }' "$work/config")
  stop=$(sed -n 's/^TimeoutStopSec=//p' "$unit")
  if [ "$(to_seconds "$grace")" = "$(to_seconds "$stop")" ]; then
    report_ok "$unit: TimeoutStopSec is shutdown.grace_period"
  else
    report_failure "$unit: TimeoutStopSec is $stop, shutdown.grace_period $grace"
  fi
}

to_seconds() { systemd-analyze timespan "$1" | awk '$1 ~ /s:$/ { print $2 }'; }

if ! command -v systemd-analyze >/dev/null; then
  report_skipped "systemd units" systemd-analyze "apt-get install systemd"
else
  require_rust
  build_binary
  verify_units
  score_units
  check_against_program
fi
