#!/usr/bin/env bash
# A small constant load for the demo: load.sh URL. Each second somebody looks at products and somebody buys one; now and
# then somebody registers, asks for what is not there, or cancels. For measuring, this is not the tool: it knows nothing
# of latency.
set -uo pipefail
url=$1
page='' token='' session_at=-1000

# call METHOD PATH [BODY [HEADER…]]: prints the answer, whatever its status.
call() {
  local method=$1 path=$2 body=${3:-}
  local arguments=(--silent --show-error --max-time 15 --request "$method" "$url$path")
  [ -z "$body" ] || arguments+=(--header 'content-type: application/json' --data "$body")
  shift $(($# < 3 ? $# : 3))
  local header
  for header in "$@"; do arguments+=(--header "$header"); done
  curl "${arguments[@]}"
}

# field NAME: its first value in the JSON on standard input. No jq in the image.
field() { grep -o "\"$1\":\"[^\"]*" | head -n 1 | cut -d '"' -f 4; }

# A token is good for a quarter of an hour.
log_in() {
  [ $((SECONDS - session_at)) -gt 600 ] || return 0
  token=$(call POST /v1/sessions '{"email":"customer@example.com","password":"orderly-demo-customer"}' | field access_token)
  [ -z "$token" ] || session_at=$SECONDS
}

browse() {
  page=$(call GET '/v1/products?limit=20')
  local product
  product=$(product)
  [ -z "$product" ] || call GET "/v1/products/$product" >/dev/null
}

# One of the page's products.
product() { grep -o '"id":"[^"]*' <<<"$page" | cut -d '"' -f 4 | sort -R | head -n 1; }

buy() {
  local order
  order=$(call POST /v1/orders "{\"lines\":[{\"product_id\":\"$(product)\",\"quantity\":$((RANDOM % 3 + 1))}]}" \
    "authorization: Bearer $token" "idempotency-key: load-$(cat /proc/sys/kernel/random/uuid)" | field id)
  [ -n "$order" ] || return 0
  touch /tmp/ordered
  if [ $((RANDOM % 10)) = 0 ]; then
    call POST "/v1/orders/$order/cancel" '' "authorization: Bearer $token" >/dev/null
  else
    call GET "/v1/orders/$order" '' "authorization: Bearer $token" >/dev/null
  fi
}

now_and_then() {
  case $((RANDOM % 20)) in
    0)
      local someone
      someone=$(cat /proc/sys/kernel/random/uuid)
      call POST /v1/users "{\"email\":\"$someone@example.com\",\"password\":\"$someone\",\"name\":\"Somebody\"}" >/dev/null
      ;;
    1) call GET /v1/orders '' "authorization: Bearer $token" >/dev/null ;;
    2) call GET /v1/products/00000000-0000-7000-8000-000000000000 >/dev/null ;;
  esac
}

while true; do
  log_in
  browse
  [ -z "$token" ] || buy
  now_and_then
  sleep 1
done
