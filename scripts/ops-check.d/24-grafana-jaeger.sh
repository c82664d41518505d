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
# shellcheck source=scripts/lib/process.sh
. scripts/lib/process.sh

readonly PATIENCE=60
grafana=$(image_of_demo grafana/grafana) jaeger=$(image_of_demo jaegertracing/jaeger)
DATA=$(mktemp -d) # where wait_until looks for the process
running=()
# shellcheck disable=SC2317  # run_on_exit calls it
end_all() {
  kill "${running[@]}" 2>/dev/null || true
  wait
  rm -rf "$DATA"
}
run_on_exit end_all

# comes_up NAME PATH PORT DOCKER_ARGUMENT…: starts it in its image, its PORT at $port of this machine.
comes_up() {
  local name=$1 path=$2 inside=$3
  port=$(find_free_port)
  docker run --rm --publish "127.0.0.1:$port:$inside" "${@:4}" >"$DATA/$name.log" 2>&1 &
  running+=($!)
  echo $! >"$DATA/$name.pid"
  if wait_until "$PATIENCE" "$name" is_http_ok "$port" "$path"; then
    ok "$name runs with its configuration"
  else
    fail "$name does not run with its configuration: $(tail -n 3 "$DATA/$name.log")"
    return 1
  fi
}

# uids PATH: what Grafana answers, one `uid` a line.
uids() { curl --silent --fail --user admin:check "http://127.0.0.1:$port$1" | grep -o '"uid":"[^"]*' | cut -d '"' -f 4 | sort; }

grafana_knows() { # WHAT PATH UID…
  local missing
  missing=$(comm -23 <(printf '%s\n' "${@:3}" | sort) <(uids "$2"))
  if [ -z "$missing" ]; then ok "Grafana has every $1"; else fail "Grafana has no $1 $missing"; fi
}

if ! have_image "$jaeger"; then
  skipped "observability/jaeger/config.yaml" "the image $jaeger" "let docker pull reach its registry"
else
  comes_up jaeger / 16686 --volume "$PWD/observability/jaeger/config.yaml:/etc/jaeger/config.yaml:ro" "$jaeger" \
    --config /etc/jaeger/config.yaml || true
fi

if ! have_image "$grafana"; then
  skipped "observability/grafana/provisioning" "the image $grafana" "let docker pull reach its registry"
elif comes_up grafana /api/health 3000 --env GF_SECURITY_ADMIN_PASSWORD=check \
  --volume "$PWD/observability/grafana/provisioning:/etc/grafana/provisioning:ro" \
  --volume "$PWD/observability/grafana/dashboards:/etc/dashboards:ro" "$grafana"; then
  mapfile -t sources < <(sed -n 's/^ *uid: //p' observability/grafana/provisioning/datasources/*.yml)
  mapfile -t boards < <(sed -n 's/^  "uid": "\(.*\)",*$/\1/p' observability/grafana/dashboards/*.json)
  grafana_knows source /api/datasources "${sources[@]}"
  # They are read after it has begun to answer.
  # shellcheck disable=SC2317  # wait_until calls it
  has_boards() { [ "$(uids '/api/search?type=dash-db' | wc -l)" -ge "${#boards[@]}" ]; }
  wait_until "$PATIENCE" grafana has_boards || true
  grafana_knows dashboard '/api/search?type=dash-db' "${boards[@]}"
fi
