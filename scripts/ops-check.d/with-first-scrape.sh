# shellcheck shell=bash
# with-first-scrape.sh COMMAND…, within `make services`: runs the command while a service that has served no request is
# scraped every second by a Prometheus with the demo's rules, and by nothing else. The command finds in its environment:
#
#   API_URL         the service
#   DATABASE_URL    its database
#   PROMETHEUS_URL  the Prometheus
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
build_binary
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

api=$(find_free_port)
admin=$(find_free_port)
prometheus=$(find_free_port)
export DATABASE_URL=${ORDERLY_TEST_DATABASE_URL%/*}/orderly
"$ORDERLY_TEST_POSTGRES_BIN/psql" -q "$ORDERLY_TEST_DATABASE_URL" -c 'CREATE DATABASE orderly'
export ORDERLY_ENV=test ORDERLY__HTTP__PORT=$api ORDERLY__ADMIN__PORT=$admin ORDERLY__RATE_LIMIT__ENABLED=false
export ORDERLY__DATABASE__URL=$DATABASE_URL
"$BINARY" migrate >/dev/null
start_background orderly "$BINARY" serve

cp -r observability/prometheus/rules "$work/rules"
cat >"$work/prometheus.yml" <<END
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules/*.yml]
scrape_configs:
  - {job_name: orderly, static_configs: [{targets: ["127.0.0.1:$admin"]}]}
END
mkdir "$work/data"
find_program prometheus prom/prometheus --volume "$work:$work"
start_background prometheus "${PROGRAM[@]}" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
  --web.listen-address="127.0.0.1:$prometheus"

code=0
API_URL=http://127.0.0.1:$api PROMETHEUS_URL=http://127.0.0.1:$prometheus "$@" || code=$?
[ "$code" = 0 ] || tail -n 5 "$work"/*.log
exit "$code"
