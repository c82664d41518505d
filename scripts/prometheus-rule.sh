#!/usr/bin/env bash
# Prints the PrometheusRule that the Prometheus operator reads, made of the very files that a
# Prometheus without an operator reads: there is one place to change an alert. Only the expected
# number of targets is a cluster's own.
#
#   scripts/prometheus-rule.sh > deploy/kubernetes/components/monitoring/prometheus-rule.yaml
#
# `make ops-check` compares the two.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cat <<'END'
# Made by scripts/prometheus-rule.sh from observability/prometheus/rules and expected-targets.yml: change those, not this.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: orderly
  labels:
    app.kubernetes.io/name: orderly
spec:
  groups:
END
# A rule file is a comment, `groups:`, and a list, which goes two columns further in here.
# Comments before `groups:` stay with the file.
for file in observability/prometheus/rules/*.yml; do
  case $file in
    */expected_targets.yml) file=deploy/kubernetes/components/monitoring/expected-targets.yml ;;
  esac
  printf '    # %s\n' "$file"
  awk '/^groups:[ \t]*$/ { groups = 1; next } groups { print ($0 == "" ? "" : "  " $0) } END { exit !groups }' "$file"
done
