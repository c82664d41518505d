#!/usr/bin/env bash
# Prometheus: its configuration and rules are read by promtool, and the rules' own tests are run. Then the tests are
# tested: an alert that never fires, and one that always does, must turn them red, for each alert in turn.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh

here=observability/prometheus
if ! find_program promtool prom/prometheus; then
  report_skipped "Prometheus' configuration and rules" promtool "install prometheus, or docker"
  exit
fi
run_check "the configuration is one that Prometheus reads" "${PROGRAM[@]}" check config "$here/prometheus.yml"
run_check "the rules are well-formed" "${PROGRAM[@]}" check rules --lint-fatal "$here"/rules/*.yml
run_check "the alerts' tests pass" "${PROGRAM[@]}" test rules "$here"/tests/*.yml

if ! install_python_tool PyYAML==6.0.3; then
  report_skipped "mutants of the alerts" PyYAML "install python3-venv, and let pip reach PyPI"
  exit
fi
# Inside of the checkout: promtool may run in a container that sees nothing else.
cluster_rules=$TOOLS/cluster-rules.yml
"$PYTHON" -c 'import sys, yaml; yaml.safe_dump(yaml.safe_load(sys.stdin)["spec"], sys.stdout)' \
  <deploy/kubernetes/components/monitoring/prometheus-rule.yaml >"$cluster_rules"
run_check "the rules of the PrometheusRule are well-formed" "${PROGRAM[@]}" check rules --lint-fatal "$cluster_rules"
run_helper "$PYTHON" scripts/ops-check.d/alert_mutants.py "$here" "${PROGRAM[@]}"
