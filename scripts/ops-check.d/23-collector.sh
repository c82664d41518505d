#!/usr/bin/env bash
# The collector: its configuration is read by the collector, and one that runs with it receives the trace of an order,
# whose tree must be whole.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh

if ! find_program /otelcol otel/opentelemetry-collector; then
  report_skipped "the collector's configuration, and a trace through it" docker "https://docs.docker.com/engine/install"
  exit
fi
run_check "the configuration is one that the collector reads" \
  "${PROGRAM[@]}" validate --config observability/otel-collector/config.yaml
run_helper scripts/xtask.sh services -- bash scripts/ops-check.d/with-monitoring.sh python3 scripts/ops-check.d/order_trace.py
