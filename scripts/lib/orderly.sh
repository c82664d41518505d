# shellcheck shell=bash
# The service and the sandbox gateway beside it, in $DATA. To be sourced, after services.sh and
# build.sh.

# Where nobody has to know the ports beforehand.
select_ports() {
  ORDERLY__HTTP__PORT=$(find_free_port)
  ORDERLY__ADMIN__PORT=$(find_free_port)
  SANDBOX_GATEWAY_PORT=$(find_free_port)
  export ORDERLY__HTTP__PORT ORDERLY__ADMIN__PORT SANDBOX_GATEWAY_PORT
}

start_gateway() {
  export SANDBOX_GATEWAY_LEDGER_PATH="$DATA/gateway-ledger.json"
  export ORDERLY__PAYMENTS__GATEWAY_URL="http://127.0.0.1:$SANDBOX_GATEWAY_PORT"
  start_process sandbox-gateway "$GATEWAY" serve >"$DATA/gateway.log" 2>&1
  wait_until 30 sandbox-gateway is_http_ok "$SANDBOX_GATEWAY_PORT" /health ||
    die "the sandbox gateway did not start; $DATA/gateway.log ends with: $(tail -n 5 "$DATA/gateway.log")"
}

# start_service LOG: on a database with the demo data.
start_service() {
  "$BINARY" migrate >&2
  "$BINARY" seed >&2
  start_process "orderly serve" "$BINARY" serve >"$1" 2>&1
  wait_until 60 "orderly serve" "$BINARY" healthcheck >/dev/null 2>&1 ||
    die "the service did not become ready; $1 ends with: $(tail -n 5 "$1")"
}
