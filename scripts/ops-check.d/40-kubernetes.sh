#!/usr/bin/env bash
# Kubernetes manifests: each overlay is rendered, held to the published schemas, to the program
# (which is started with the rendered settings) and to itself; and the PrometheusRule to the
# rules that it is made of.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/ops-check.d/build.sh
. scripts/ops-check.d/build.sh

readonly KUBERNETES=1.33 OPERATOR=v0.93.0
CRDS=$TOOLS/crds
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The two kinds of the Prometheus operator, from where it publishes them.
fetch_crds() {
  local base=https://raw.githubusercontent.com/prometheus-operator/prometheus-operator kind
  mkdir -p "$CRDS"
  for kind in servicemonitors prometheusrules; do
    [ ! -s "$CRDS/$kind.yaml" ] || continue
    curl --fail --silent --show-error --location --max-time 30 --output "$CRDS/$kind.new" \
      "$base/$OPERATOR/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml" || return 0
    mv "$CRDS/$kind.new" "$CRDS/$kind.yaml"
  done
}

# print_config OVERLAY: what the program makes of the rendered settings, into $work/OVERLAY.json.
# In an empty folder: the image need not have config/.
print_config() {
  local settings output
  read_lines settings list_settings "$work/$1.yaml" || return
  if output=$(cd "$work/secrets" && env -i "${settings[@]}" "$BINARY" config --json 2>&1 >"$work/$1.json") &&
    [ -s "$work/$1.json" ]; then
    report_ok "$1: orderly takes the settings of its ConfigMap"
  else
    report_failure "$1: with the settings of its ConfigMap, orderly says: $output"
    return 1
  fi
}

list_settings() {
  "$PYTHON" scripts/ops-check.d/kubernetes_rules.py settings "$1" | sed "s|=/run/secrets/orderly/|=$work/secrets/|"
}

check_overlay() {
  local output
  if ! output=$(kubectl kustomize "deploy/kubernetes/overlays/$1" 2>&1 >"$work/$1.yaml") || ! [ -s "$work/$1.yaml" ]; then
    report_failure "$1: kubectl kustomize says: $output"
    return
  fi
  report_ok "$1: kubectl kustomize renders it"
  run_helper "$PYTHON" scripts/ops-check.d/kubernetes_schema.py "$KUBERNETES" "$CRDS" "$work/$1.yaml"
  print_config "$1" || return 0
  run_helper "$PYTHON" scripts/ops-check.d/kubernetes_rules.py check "$work/$1.yaml" "$work/$1.json" \
    deploy/kubernetes/overlays/production/secret.template.yaml
}

check_prometheus_rule() {
  local made=deploy/kubernetes/components/monitoring/prometheus-rule.yaml
  if scripts/prometheus-rule.sh >"$work/rule.yaml" && cmp -s "$work/rule.yaml" "$made"; then
    report_ok "the PrometheusRule is made of observability/prometheus/rules"
  else
    report_failure "$made is not what scripts/prometheus-rule.sh makes of observability/prometheus/rules: run it again, its output is the file"
  fi
}

check_prometheus_rule
if ! command -v kubectl >/dev/null; then
  report_skipped "Kubernetes manifests" kubectl "https://kubernetes.io/docs/tasks/tools, 1.30 or newer"
elif ! install_python_tool kubernetes-validate==1.37.0 PyYAML==6.0.3 jsonschema==4.26.0; then
  report_skipped "Kubernetes manifests" kubernetes-validate "install python3-venv, and let pip reach PyPI"
else
  require_rust
  build_binary
  fetch_crds
  create_secrets "$work/secrets"
  check_overlay dev
  check_overlay production
fi
