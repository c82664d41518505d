#!/usr/bin/env bash
# What people look at: Grafana and Jaeger, started as docker-compose.yml starts them. Grafana must have found each source
# and each dashboard that it was given.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/ops-check.d/process.sh
. scripts/ops-check.d/process.sh

readonly START_TIMEOUT=60
grafana=$(find_demo_image grafana/grafana)
jaeger=$(find_demo_image jaegertracing/jaeger)
DATA=$(mktemp -d) # where wait_until looks for the process
running=()
# shellcheck disable=SC2317  # run_on_exit calls it
stop_all() {
  kill "${running[@]}" 2>/dev/null || true
  wait
  rm -rf "$DATA"
}
run_on_exit stop_all

# start_container NAME PATH PORT DOCKER_ARGUMENT…: starts it in its image, its PORT at $port of this machine.
start_container() {
  local name=$1 path=$2 inside=$3 log
  port=$(find_free_port)
  docker run --rm --publish "127.0.0.1:$port:$inside" "${@:4}" >"$DATA/$name.log" 2>&1 &
  running+=($!)
  echo $! >"$DATA/$name.pid"
  if wait_until "$START_TIMEOUT" "$name" is_http_ok "$port" "$path"; then
    report_ok "$name runs with its configuration"
  else
    log=$(tail -n 3 "$DATA/$name.log") || log="it has no log"
    report_failure "$name does not run with its configuration: $log"
    return 1
  fi
}

# list_uids PATH: what Grafana answers, one `uid` a line.
list_uids() { curl --silent --fail --user admin:check "http://127.0.0.1:$port$1" | grep -o '"uid":"[^"]*' | cut -d '"' -f 4 | sort; }

check_grafana_has() { # WHAT PATH UID…
  local wanted found missing
  if ! wanted=$(printf '%s\n' "${@:3}" | sort) || ! found=$(list_uids "$2"); then
    report_failure "Grafana does not list its ${1}s"
    return
  fi
  missing=$(comm -23 <(echo "$wanted") <(echo "$found"))
  if [ -z "$missing" ]; then report_ok "Grafana has every $1"; else report_failure "Grafana has no $1 $missing"; fi
}

if ! pull_image "$jaeger"; then
  report_skipped "observability/jaeger/config.yaml" "the image $jaeger" "let docker pull reach its registry"
else
  start_container jaeger / 16686 --volume "$PWD/observability/jaeger/config.yaml:/etc/jaeger/config.yaml:ro" "$jaeger" \
    --config /etc/jaeger/config.yaml || true
fi

if ! pull_image "$grafana"; then
  report_skipped "observability/grafana/provisioning" "the image $grafana" "let docker pull reach its registry"
elif start_container grafana /api/health 3000 --env GF_SECURITY_ADMIN_PASSWORD=check \
  --volume "$PWD/observability/grafana/provisioning:/etc/grafana/provisioning:ro" \
  --volume "$PWD/observability/grafana/dashboards:/etc/dashboards:ro" "$grafana"; then
  sources=() dashboards=()
  read_lines sources sed -n 's/^ *uid: //p' observability/grafana/provisioning/datasources/*.yml
  read_lines dashboards sed -n 's/^  "uid": "\(.*\)",*$/\1/p' observability/grafana/dashboards/*.json
  check_grafana_has source /api/datasources "${sources[@]}"
  # They are read after it has begun to answer.
  # shellcheck disable=SC2317  # wait_until calls it
  has_dashboards() {
    local found
    found=$(list_uids '/api/search?type=dash-db' | wc -l) && [ "$found" -ge "${#dashboards[@]}" ]
  }
  wait_until "$START_TIMEOUT" grafana has_dashboards || true
  check_grafana_has dashboard '/api/search?type=dash-db' "${dashboards[@]}"
fi
