#!/usr/bin/env bash
# A small constant load for the demo: load.sh URL. Each second somebody looks at products and somebody buys one; now and
# then somebody registers, asks for what is not there, or cancels. For measuring, this is not the tool: it knows nothing
# of latency.
set -uo pipefail
url=$1
page='' token='' session_at=-1000

# send_request METHOD PATH [BODY [HEADER…]]: prints the answer, whatever its status.
send_request() {
  local method=$1 path=$2 body=${3:-}
  local arguments=(--silent --show-error --max-time 15 --request "$method" "$url$path")
  [ -z "$body" ] || arguments+=(--header 'content-type: application/json' --data "$body")
  shift $(($# < 3 ? $# : 3))
  local header
  for header in "$@"; do arguments+=(--header "$header"); done
  curl "${arguments[@]}"
}

# extract_field NAME: its first value in the JSON on standard input. No jq in the image.
extract_field() { grep -o "\"$1\":\"[^\"]*" | head -n 1 | cut -d '"' -f 4; }

# A token is good for a quarter of an hour.
log_in() {
  [ $((SECONDS - session_at)) -gt 600 ] || return 0
  token=$(send_request POST /v1/sessions '{"email":"customer@example.com","password":"orderly-demo-customer"}' | extract_field access_token)
  [ -z "$token" ] || session_at=$SECONDS
}

browse_products() {
  page=$(send_request GET '/v1/products?limit=20')
  local product
  product=$(pick_product)
  [ -z "$product" ] || send_request GET "/v1/products/$product" >/dev/null
}

# One of the page's products.
pick_product() { grep -o '"id":"[^"]*' <<<"$page" | cut -d '"' -f 4 | sort -R | head -n 1; }

buy_product() {
  local order product key
  product=$(pick_product)
  key=$(cat /proc/sys/kernel/random/uuid)
  # With an empty key each order would be the first one again.
  [ -n "$product" ] && [ -n "$key" ] || return 0
  order=$(send_request POST /v1/orders "{\"lines\":[{\"product_id\":\"$product\",\"quantity\":$((RANDOM % 3 + 1))}]}" \
    "authorization: Bearer $token" "idempotency-key: load-$key" | extract_field id)
  [ -n "$order" ] || return 0
  touch /tmp/last-order
  if [ $((RANDOM % 10)) = 0 ]; then
    send_request POST "/v1/orders/$order/cancel" '' "authorization: Bearer $token" >/dev/null
  else
    send_request GET "/v1/orders/$order" '' "authorization: Bearer $token" >/dev/null
  fi
}

send_occasional_request() {
  case $((RANDOM % 20)) in
    0)
      local user
      user=$(cat /proc/sys/kernel/random/uuid)
      send_request POST /v1/users "{\"email\":\"$user@example.com\",\"password\":\"$user\",\"name\":\"Load\"}" >/dev/null
      ;;
    1) [ -z "$token" ] || send_request GET /v1/orders '' "authorization: Bearer $token" >/dev/null ;;
    2) send_request GET /v1/products/00000000-0000-7000-8000-000000000000 >/dev/null ;;
  esac
}

while true; do
  log_in
  browse_products
  [ -z "$token" ] || buy_product
  send_occasional_request
  sleep 1
done
