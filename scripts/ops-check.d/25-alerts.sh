#!/usr/bin/env bash
# Alerts where they matter: a real Prometheus with the demo's rules and a real service, both just started, and no
# exporters. The service's first failures, missing targets and a lost database must raise alerts.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh

if ! find_program prometheus prom/prometheus; then
  report_skipped "alerts of a real Prometheus" prometheus "install prometheus, or docker"
else
  run_helper scripts/xtask.sh services -- bash scripts/ops-check.d/with-first-scrape.sh python3 scripts/ops-check.d/first_alerts.py
fi
