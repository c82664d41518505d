#!/usr/bin/env bash
# The dashboards: their shape is held to Grafana's own types, and every query of every panel, rule and alert is put to a
# Prometheus that watches the service under load. None may be an error, and none empty.
#
# The service and what watches it are started for that, which takes some minutes; where the demo runs already, its
# Prometheus serves: PROMETHEUS_URL=http://localhost:9090.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh

if install_python_tool 'grafana-foundation-sdk==1769699379!11.6.0'; then
  run_helper "$PYTHON" scripts/ops-check.d/dashboard_schema.py observability/grafana/dashboards/*.json
else
  report_skipped "the dashboards' schema" grafana-foundation-sdk "install python3-venv, and let pip reach PyPI"
fi

queries=(python3 scripts/ops-check.d/prometheus_queries.py observability)
if [ -n "${PROMETHEUS_URL:-}" ]; then
  run_helper "${queries[@]}"
elif ! find_program prometheus prom/prometheus; then
  report_skipped "the queries of dashboards and alerts" prometheus "install prometheus, or docker"
else
  run_helper scripts/xtask.sh services -- bash scripts/ops-check.d/with-monitoring.sh "${queries[@]}" --timeout 180
fi
