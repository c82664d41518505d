#!/usr/bin/env bash
# Alertmanager: its configuration is read by amtool, alerts are sent down its routes, and a running one is told of causes
# and consequences to see that it keeps the latter to itself.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/ops-check.d/process.sh
. scripts/ops-check.d/process.sh

config=observability/alertmanager/alertmanager.yml
if ! find_program amtool prom/alertmanager; then
  report_skipped "Alertmanager's configuration" amtool "install prometheus-alertmanager, or docker"
  exit
fi
run_check "the configuration is one that Alertmanager reads" "${PROGRAM[@]}" check-config "$config"
check_route() { # RECEIVER LABEL…
  run_check "${*:2} goes to $1" "${PROGRAM[@]}" config routes test --config.file="$config" --verify.receivers="$1" "${@:2}"
}
require_rejection amtool "${PROGRAM[@]}" config routes test --config.file="$config" --verify.receivers=none alertname=A
check_route page alertname=ErrorBudgetBurnsFast severity=page slo=availability
check_route ticket alertname=BreakerOpen severity=ticket
check_route ticket alertname=WithoutSeverity
check_route watchdog alertname=Watchdog severity=none

work=$(mktemp -d)
if ! find_program alertmanager prom/alertmanager --volume "$work:$work"; then
  report_skipped "which alerts are inhibited" alertmanager "install prometheus-alertmanager, or docker"
  exit
fi
port=$(find_free_port)
"${PROGRAM[@]}" --config.file="$config" --storage.path="$work" --cluster.listen-address= \
  --web.listen-address="127.0.0.1:$port" >"$work/log" 2>&1 &
running=$!
trap 'kill "$running" 2>/dev/null; wait "$running" || true; rm -rf "$work"' EXIT
DATA=$work # where wait_until looks for the process
echo "$running" >"$work/alertmanager.pid"
if ! wait_until 20 alertmanager is_http_ok "$port" /-/ready; then
  output=$(tail -n 1 "$work/log")
  report_failure "Alertmanager does not start: $output"
  exit
fi
run_helper python3 scripts/ops-check.d/inhibitions.py "http://127.0.0.1:$port"
