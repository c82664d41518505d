# shellcheck shell=bash
# with-monitoring.sh COMMAND…, within `make services`: runs the command while the service is up, under load and watched. The
# demo's configuration is used as it is, but for the addresses; and the collector writes down what it would send to Jaeger.
# The command finds in its environment:
#
#   API_URL         the service
#   PROMETHEUS_URL  a Prometheus that scrapes the service, Postgres, Redis and the collector
#   SPANS           a file in which the collector writes down every span
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/ops-check.d/process.sh
. scripts/ops-check.d/process.sh
# shellcheck source=scripts/ops-check.d/build.sh
. scripts/ops-check.d/build.sh

require_rust
build_binaries
work=$(mktemp -d)
chmod 755 "$work" # programs in containers read it
running=()
# shellcheck disable=SC2317  # run_on_exit calls it
stop_all() {
  kill "${running[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
run_on_exit stop_all
start_background() { # NAME COMMAND…
  "${@:2}" >"$work/$1.log" 2>&1 &
  running+=($!)
}

skip_without() { # PROGRAM
  report_skipped "the watched service" "$1" "install it, or Docker"
  exit
}

api=$(find_free_port)
admin=$(find_free_port)
gateway=$(find_free_port)
otlp=$(find_free_port)
prometheus=$(find_free_port)
postgres=$(find_free_port)
redis=$(find_free_port)
collector=$(find_free_port)
"$ORDERLY_TEST_POSTGRES_BIN/psql" -q "$ORDERLY_TEST_DATABASE_URL" -c 'CREATE DATABASE orderly'
export ORDERLY_ENV=test ORDERLY__HTTP__PORT=$api ORDERLY__ADMIN__PORT=$admin SANDBOX_GATEWAY_PORT=$gateway
export ORDERLY__DATABASE__URL=${ORDERLY_TEST_DATABASE_URL%/*}/orderly ORDERLY__REDIS__URL=$ORDERLY_TEST_REDIS_URL
export ORDERLY__PAYMENTS__GATEWAY_URL=http://127.0.0.1:$gateway ORDERLY__TELEMETRY__OTLP_ENDPOINT=http://127.0.0.1:$otlp
"$BINARY" migrate >/dev/null
"$BINARY" seed >/dev/null
start_background gateway "$GATEWAY" serve
start_background orderly "$BINARY" serve
start_background load bash deploy/compose/load.sh "http://127.0.0.1:$api"

export DATA_SOURCE_NAME="$ORDERLY__DATABASE__URL?sslmode=disable" REDIS_ADDR=${ORDERLY_TEST_REDIS_URL%/}
find_program postgres_exporter quay.io/prometheuscommunity/postgres-exporter --env DATA_SOURCE_NAME ||
  skip_without postgres_exporter
start_background postgres_exporter "${PROGRAM[@]}" --web.listen-address="127.0.0.1:$postgres"
find_program /redis_exporter oliver006/redis_exporter --env REDIS_ADDR || skip_without redis_exporter
start_background redis_exporter "${PROGRAM[@]}" --web.listen-address="127.0.0.1:$redis"
sed "s/0.0.0.0:4317/127.0.0.1:$otlp/; s/port: 8888/port: $collector/" \
  observability/otel-collector/config.yaml >"$work/collector.yaml"
cat >"$work/collector-debug.yaml" <<'END'
exporters: {debug: {verbosity: detailed}}
service: {pipelines: {traces: {exporters: [otlp, debug]}}}
END
find_program /otelcol otel/opentelemetry-collector --volume "$work:$work:ro" ||
  skip_without otelcol
start_background collector "${PROGRAM[@]}" --config "$work/collector.yaml" --config "$work/collector-debug.yaml"

cp -r observability/prometheus/rules "$work/rules"
sed "s/orderly-1:8081, orderly-2:8081/127.0.0.1:$admin/; s/postgres-exporter:9187/127.0.0.1:$postgres/
  s/redis-exporter:9121/127.0.0.1:$redis/; s/otel-collector:8888/127.0.0.1:$collector/; s/localhost:9090/127.0.0.1:$prometheus/
  s/scrape_interval: 5s/scrape_interval: 1s/" \
  observability/prometheus/prometheus.yml >"$work/prometheus.yml"
mkdir "$work/data"
find_program prometheus prom/prometheus --volume "$work:$work" || skip_without prometheus
start_background prometheus "${PROGRAM[@]}" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
  --web.listen-address="127.0.0.1:$prometheus"

code=0
API_URL=http://127.0.0.1:$api PROMETHEUS_URL=http://127.0.0.1:$prometheus SPANS=$work/collector.log "$@" || code=$?
[ "$code" = 0 ] || tail -n 5 "$work"/*.log
exit "$code"
