#!/usr/bin/env bash
# Tries the demo as its user would: brings it up, places the order of the first page until it is paid, stops a replica
# under load without a failed request, and removes it all.
#
#   scripts/test-demo.sh [OVERRIDE.yml]
#
# The override is a compose file that is laid over docker-compose.yml, to leave out what a machine has no image of:
#
#   services: {grafana: {profiles: [absent]}, jaeger: {profiles: [absent]}}
#
# The images are those that ORDERLY_IMAGE and SANDBOX_GATEWAY_IMAGE name, orderly:dev and sandbox-gateway:dev. They are
# built if they are not there (scripts/image.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

readonly PAGE=http://localhost:8088/
export COMPOSE_FILE=docker-compose.yml${1:+:$1}
work=$(mktemp -d)

fail() {
  printf 'test-demo: %s\n' "$1" >&2
  docker compose ps --all >&2 || true
  docker compose logs --no-log-prefix --tail 5 edge orderly-1 orderly-2 >&2 || true
  exit 1
}

# What compose made and has not removed: containers, volumes, networks.
list_leftovers() {
  local label=com.docker.compose.project=orderly
  docker ps --all --quiet --filter "label=$label" &&
    docker volume ls --quiet --filter "label=$label" &&
    docker network ls --quiet --filter "label=$label"
}

leftovers=$(list_leftovers)
[ -z "$leftovers" ] || die "there is a demo already, and this would remove it with its data: make demo-down"
clean_up() {
  rm -rf "$work"
  docker compose down --volumes --remove-orphans >/dev/null 2>&1 || true
}
trap clean_up EXIT

# write_block ID PATTERN FILE: writes those of the lines that the first page tells people to type. An empty script would
# succeed.
write_block() {
  sed -n "/<pre id=\"$1\">/,/<\/pre>/p" "$work/page" | sed '1d; $d' | grep -E "$2" >"$3" ||
    fail "the first page has no block '$1' with $2"
}

place_order() {
  local code=0 output
  write_block order . "$work/order.sh"
  output=$(timeout 120 bash "$work/order.sh" 2>&1) || code=$?
  case $code$output in 0*'"status":"paid"'*) ;; *) fail "the order was not paid (exit code $code): $output" ;; esac
}

# send_request NAME CURL_ARGUMENT…: one request, as `NAME STATUS`; 000 if there was no answer.
send_request() {
  local status
  # curl fails without a response, and prints 000.
  status=$(curl --silent --output "$work/body.$BASHPID" --max-time 15 --write-out '%{http_code}' "${@:2}") || true
  printf '%s %s\n' "$1" "${status:-000}"
}

# Customers who look, log in and buy, until the file is gone. Each log-in is answered by a replica, if only with 429:
# that is what there is for more than a few a minute.
run_virtual_user() {
  local login='{"email":"customer@example.com","password":"orderly-demo-customer"}' json='content-type: application/json'
  local key
  while [ -e "$work/running" ]; do
    key=$(cat /proc/sys/kernel/random/uuid) || return
    send_request products "$API/v1/products?limit=20"
    send_request sessions "$API/v1/sessions" --header "$json" --data "$login"
    send_request orders "$API/v1/orders" --header "$json" --header "authorization: Bearer $TOKEN" \
      --header "idempotency-key: try-$key" \
      --data "{\"lines\":[{\"product_id\":\"$PRODUCT\",\"quantity\":1}]}"
  done
}

# wait_for_responses NUMBER: waits until so many more requests were answered.
wait_for_responses() {
  local count wanted deadline=$((SECONDS + 60))
  count=$(wc -l <"$work/responses") || fail "the responses can't be counted"
  wanted=$((count + $1))
  until [ "$count" -ge "$wanted" ]; do
    count=$(wc -l <"$work/responses") || fail "the responses can't be counted"
    [ "$SECONDS" -lt "$deadline" ] || fail "fewer than $1 requests were answered in a minute"
    sleep 0.1
  done
}

restart_replica_under_load() {
  local failed
  # The page's own: API, TOKEN, PRODUCT.
  write_block order '^(API|TOKEN|PRODUCT)=' "$work/names.sh"
  # shellcheck source=/dev/null
  . "$work/names.sh"
  if [ -z "$API" ] || [ -z "$TOKEN" ] || [ -z "$PRODUCT" ]; then fail "the first page finds no token or no product"; fi
  touch "$work/running" "$work/responses"
  for _ in 1 2 3; do run_virtual_user >>"$work/responses" & done
  wait_for_responses 100
  write_block stop ' stop ' "$work/stop.sh"
  write_block stop ' start ' "$work/start.sh"
  bash "$work/stop.sh" || fail "the replica was not stopped"
  wait_for_responses 100
  bash "$work/start.sh" || fail "the replica was not started"
  wait_for_responses 100
  rm "$work/running"
  wait
  sort "$work/responses" | uniq -c
  failed=$(grep -cvE ' (200|201|429)$' "$work/responses") || [ $? = 1 ]
  [ "$failed" = 0 ] || fail "$failed requests failed while a replica was stopped"
  grep -qE '^sessions 20' "$work/responses" || fail "nobody was logged in"
}

log_progress "docker compose up --wait"
docker compose up --wait --wait-timeout 600
curl --silent --fail "$PAGE" >"$work/page" || fail "there is no first page"
log_progress "An order"
place_order
log_progress "A replica stops, and starts again"
restart_replica_under_load
log_progress "docker compose down --volumes"
docker compose down --volumes
leftovers=$(list_leftovers)
[ -z "$leftovers" ] || fail "something is left: $leftovers"
log_progress "The demo works"
