#!/usr/bin/env bash
# The whole service on this machine, for `make run`: a private Postgres and Redis, the
# sandbox payment gateway and the service itself. Ctrl-C stops all of it; the data
# stays in .data/run for the next time.
set -euo pipefail
# shellcheck source=scripts/lib/services.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/services.sh"
# shellcheck source=scripts/lib/build.sh
. scripts/lib/build.sh
# shellcheck source=scripts/lib/orderly.sh
. scripts/lib/orderly.sh

export ORDERLY_ENV=${ORDERLY_ENV:-development}
export ORDERLY__HTTP__PORT=${ORDERLY__HTTP__PORT:-8080}
export ORDERLY__ADMIN__PORT=${ORDERLY__ADMIN__PORT:-8081}
export SANDBOX_GATEWAY_PORT=${SANDBOX_GATEWAY_PORT:-8090}
export ORDERLY__LOG__FORMAT=${ORDERLY__LOG__FORMAT:-pretty}

stop_all() {
  [ ! -f "$DATA/postgres/postmaster.pid" ] || log_progress "Stopping"
  stop_services
  rm -f "$DATA/run.sh.pid"
}

require_free_port() { # VARIABLE
  ! is_port_taken "${!1}" || die "port ${!1} is taken: choose another with $1=$(find_free_port) make run"
}

start_storage() {
  create_postgres --auth=scram-sha-256
  start_postgres 54329 -c random_page_cost=1.1
  create_database orderly
  export ORDERLY__DATABASE__URL="$POSTGRES_URL/orderly"
  if find_or_install_redis; then
    start_redis 56379 --appendonly yes
    export ORDERLY__REDIS__URL=$REDIS_URL
  else
    unset ORDERLY__REDIS__URL
    log_progress "Going on without Redis. $REDIS_MISSING"
  fi
}

# Made to be pasted into bash or zsh as it stands, without jq.
print_banner() {
  local api=http://127.0.0.1:$ORDERLY__HTTP__PORT admin=http://127.0.0.1:$ORDERLY__ADMIN__PORT
  # Another terminal does not know of another port.
  local gateway=''
  [ "$SANDBOX_GATEWAY_PORT" = 8090 ] || gateway=" --port $SANDBOX_GATEWAY_PORT"
  cat <<END

  Orderly is up.

    API         $api/docs   (OpenAPI: $api/openapi.json)
    Operations  $admin/livez   $admin/startupz   $admin/readyz
                $admin/healthz   $admin/metrics
    Gateway     $ORDERLY__PAYMENTS__GATEWAY_URL   (log: $DATA/gateway.log)
                to make it fail:  $GATEWAY faults '{"error_rate": 1}'$gateway
                to restore it:    $GATEWAY faults '{}'$gateway
    Look inside ORDERLY__DATABASE__URL=postgres://orderly:\$(cat "$DATA/postgres.password")@127.0.0.1:$(cat "$DATA/postgres.port")/orderly $BINARY check-invariants
                (or: jobs list)
    Log in as   customer@example.com / orderly-demo-customer
                admin@example.com / orderly-demo-admin

  Log in, place an order, and see it paid, from another terminal:

TOKEN=\$(curl -s $api/v1/sessions -H 'content-type: application/json' -d '{"email":"customer@example.com","password":"orderly-demo-customer"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
ORDER=\$(curl -s $api/v1/orders -H "authorization: Bearer \$TOKEN" -H "idempotency-key: demo-\$(date +%s)" -H 'content-type: application/json' -d "{\"lines\":[{\"product_id\":\"\$(curl -s "$api/v1/products?limit=1" | grep -o '"id":"[^"]*' | head -n 1 | cut -d '"' -f 4)\",\"quantity\":1}]}" | grep -o '"id":"[^"]*' | head -n 1 | cut -d '"' -f 4)
until curl -s "$api/v1/orders/\$ORDER" -H "authorization: Bearer \$TOKEN" | grep -E '"status":"(paid|payment_failed)"'; do sleep 1; done

  Ctrl-C stops everything. The data stays for the next time; 'make clean-data' removes it.

END
}

require_rust
require_postgres "$(cat .data/run/postgres/PG_VERSION 2>/dev/null || true)"
select_unprivileged_user
create_data_dir run
! is_running run.sh || die "'make run' runs in this checkout already (process $pid)"
echo $$ >"$DATA/run.sh.pid"
run_on_exit stop_all
stop_services # those that outlived a `kill -9` of their script
require_free_port ORDERLY__HTTP__PORT
require_free_port ORDERLY__ADMIN__PORT
require_free_port SANDBOX_GATEWAY_PORT

log_progress "Building (the first time takes some minutes)"
build_binaries
start_storage
"$BINARY" migrate
"$BINARY" seed
start_gateway
start_process "orderly serve" "$BINARY" serve
service=$!
wait_until 60 "orderly serve" "$BINARY" healthcheck >/dev/null 2>&1 ||
  die "the service did not become ready: see its log above"
print_banner
trap 'exit 0' INT TERM HUP # from here on, to be stopped is no failure
wait "$service" || die "the service ended by itself, with status $?"
