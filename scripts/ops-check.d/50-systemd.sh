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
  printf '[Service]\nExecStart=/bin/true\nNoSuchKey=1\n' >"$work/faulty.service"
  require_rejection "systemd-analyze verify" is_accepted "$work/faulty.service"
  for unit in "${UNITS[@]}"; do
    sed -e "s|=/usr/bin/orderly |=$BINARY |" -e "s|=/usr/lib/orderly/backup.sh |=$PWD/deploy/backup/backup.sh |" \
      "$unit" >"$work/${unit##*/}"
  done
  for unit in "${UNITS[@]}"; do
    if output=$(is_accepted "$work/${unit##*/}"); then
      report_ok "systemd-analyze verify $unit"
    else
      report_failure "systemd-analyze verify $unit: $output"
    fi
  done
}

# is_accepted UNIT: prints the objections, and fails if there are any.
is_accepted() {
  local output
  output=$(systemd-analyze verify --man=no "$1" 2>&1) || output+=" (exit code $?)"
  [ -z "$output" ] || { printf '%s\n' "$output" && false; }
}

score_units() {
  local unit score
  printf '[Service]\nExecStart=/bin/true\n' >"$work/open.service"
  require_rejection "systemd-analyze security" \
    systemd-analyze security --offline=yes --threshold="$MAX_EXPOSURE" "$work/open.service"
  for unit in "${UNITS[@]}"; do
    case $unit in *.timer) continue ;; esac
    # Its exit code is that of the check below.
    score=$(systemd-analyze security --offline=yes "$unit" | tail -n 1 | sed -n 's/.*: \([0-9.]*\).*/\1/p') || true
    run_check "$unit leaves little open: ${score:-?} of 10" \
      systemd-analyze security --offline=yes --threshold="$MAX_EXPOSURE" "$unit"
  done
}

check_against_program() {
  local unit=deploy/systemd/orderly.service settings output grace stop grace_us stop_us
  create_secrets "$work/secrets"
  read_lines settings list_settings "$unit" || return 0
  if ! output=$(env -i "${settings[@]}" "$BINARY" config 2>&1 >"$work/config"); then
    report_failure "$unit: with its Environment, orderly says: $output"
    return
  fi
  report_ok "$unit: orderly takes its Environment"
  # Two values that were not found would be equal.
  read_lines grace sed -n 's/^shutdown\.grace_period  *\([0-9a-z]*\( [0-9a-z]*\)*\)  .*/\1/p' "$work/config" || return 0
  read_lines stop sed -n 's/^TimeoutStopSec=//p' "$unit" || return 0
  read_lines grace_us to_microseconds "${grace[0]}" || return 0
  read_lines stop_us to_microseconds "${stop[0]}" || return 0
  if [ "${grace_us[0]}" = "${stop_us[0]}" ]; then
    report_ok "$unit: TimeoutStopSec is shutdown.grace_period"
  else
    report_failure "$unit: TimeoutStopSec is ${stop[*]}, shutdown.grace_period ${grace[*]}"
  fi
}

list_settings() {
  sed -n 's/^Environment=\(ORDERLY_.*\)/\1/p' "$1" | sed -e "s|%d|$work/secrets|" -e "s|/etc/orderly|config|"
}

to_microseconds() { systemd-analyze timespan "$1" | awk '$1 ~ /s:$/ { print $2 }'; }

if ! command -v systemd-analyze >/dev/null; then
  report_skipped "systemd units" systemd-analyze "apt-get install systemd"
else
  require_rust
  build_binary
  verify_units
  score_units
  check_against_program
fi
