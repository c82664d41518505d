#!/usr/bin/env bash
# The demo's compose file: read by compose, held to its own rules (everything hardened, limited, pinned, published on
# loopback only), the edge's configuration read by nginx.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/ops-check.d/programs.sh
. scripts/ops-check.d/programs.sh

if ! docker compose version >/dev/null 2>&1; then
  skipped "docker-compose.yml" "docker compose" "https://docs.docker.com/compose/install"
else
  holds "docker-compose.yml is one that compose reads" docker compose config --quiet
  docker compose config --format json | python3 scripts/ops-check.d/compose_rules.py
fi

# nginx looks the replicas up when it reads its configuration: let it find anything.
if find_program nginx nginx --add-host orderly-1:127.0.0.1 --add-host orderly-2:127.0.0.1 \
  --volume "$PWD/deploy/compose/edge/nginx.conf:/etc/nginx/nginx.conf:ro" --tmpfs /tmp && [ "${PROGRAM[0]}" = docker ]; then
  holds "the edge's configuration is one that nginx reads" "${PROGRAM[@]}" -t
else
  skipped "the edge's configuration" docker "https://docs.docker.com/engine/install"
fi
