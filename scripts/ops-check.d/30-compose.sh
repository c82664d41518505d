#!/usr/bin/env bash
# The demo's compose file: read by compose; held to its own rules (everything hardened, limited, pinned, published on
# loopback only); and to the program, which is started with its settings and says the times and limits that compose and
# the edge go by. The edge's configuration is read by nginx.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/ops-check.d/build.sh
. scripts/ops-check.d/build.sh

edge=deploy/compose/edge/nginx.conf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# print_config SERVICE: what the program makes of the settings of a service, into $work/SERVICE.json.
print_config() {
  local settings output
  read_lines settings python3 scripts/ops-check.d/compose_settings.py settings "$work/compose.json" "$1" || return
  if output=$(env -i "${settings[@]}" "$BINARY" config --json 2>&1 >"$work/$1.json") && [ -s "$work/$1.json" ]; then
    report_ok "$1: orderly takes its settings"
  else
    report_failure "$1: with its settings, orderly says: $output"
    return 1
  fi
}

check_against_program() {
  local service services replicas=()
  require_rust
  build_binary
  read_lines services python3 scripts/ops-check.d/compose_settings.py services "$work/compose.json" || return 0
  for service in "${services[@]}"; do
    print_config "$service" || continue
    case $service in orderly-*) replicas+=("$work/$service.json") ;; esac
  done
  run_helper python3 scripts/ops-check.d/compose_settings.py check "$work/compose.json" "$edge" "${replicas[@]}"
}

if ! docker compose version >/dev/null 2>&1; then
  report_skipped "docker-compose.yml" "docker compose" "https://docs.docker.com/compose/install"
elif ! output=$(docker compose config --format json 2>&1 >"$work/compose.json") || ! [ -s "$work/compose.json" ]; then
  report_failure "docker compose says of docker-compose.yml: $output"
else
  report_ok "docker-compose.yml is one that compose reads"
  run_helper python3 scripts/ops-check.d/compose_rules.py "$work/compose.json"
  check_against_program
fi

# Only in its image: the configuration has the image's paths. nginx looks the replicas up when it reads it, and may find
# anything.
image=$(find_demo_image nginx)
if ! pull_image "$image"; then
  report_skipped "the edge's configuration" "the image $image" "https://docs.docker.com/engine/install"
else
  find_program nginx nginx --add-host orderly-1:127.0.0.1 --add-host orderly-2:127.0.0.1 \
    --volume "$PWD/$edge:/etc/nginx/nginx.conf:ro" --tmpfs /tmp
  run_check "the edge's configuration is one that nginx reads" "${PROGRAM[@]}" -t
fi
