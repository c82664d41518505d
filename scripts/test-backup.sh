#!/usr/bin/env bash
# Backs up a database in which orders are placed and paid meanwhile, restores it into another
# one, and checks the invariants of the copy, for `make test-backup`. Then what must be refused: a
# damaged backup, a database that is not empty. To be run by with-services.sh, which also ends
# what this starts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/lib/process.sh
. scripts/lib/process.sh
# shellcheck source=scripts/lib/build.sh
. scripts/lib/build.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LOG=$work/service.log

# The server's own programs, so that pg_dump is not older than it; and the tests' server.
configure_postgres() {
  find_postgres ''
  PATH=$PG_BIN:$PATH
  local address=${ORDERLY_TEST_DATABASE_URL#postgres://}
  PGUSER=${address%%:*} PGHOST=${address#*@}
  PGPASSWORD=${address#*:} PGPASSWORD=${PGPASSWORD%%@*}
  PGPORT=${PGHOST#*:} PGPORT=${PGPORT%%/*} PGHOST=${PGHOST%%:*}
  export PATH PGUSER PGPASSWORD PGHOST PGPORT
  unset PGDATABASE
}

run_sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname "$1" --command "$2"; }
format_url() { printf '%s/%s' "${ORDERLY_TEST_DATABASE_URL%/*}" "$1"; }

start_service() {
  export ORDERLY_ENV=test ORDERLY__LOG__FILTER=warn ORDERLY__SHUTDOWN__DRAIN_DELAY=0s
  ORDERLY__DATABASE__URL=$(format_url backup_source)
  ORDERLY__HTTP__PORT=$(find_free_port) ORDERLY__ADMIN__PORT=$(find_free_port) SANDBOX_GATEWAY_PORT=$(find_free_port)
  export ORDERLY__DATABASE__URL ORDERLY__HTTP__PORT ORDERLY__ADMIN__PORT SANDBOX_GATEWAY_PORT
  export ORDERLY__PAYMENTS__GATEWAY_URL=http://127.0.0.1:$SANDBOX_GATEWAY_PORT
  "$BINARY" migrate
  "$BINARY" seed
  "$GATEWAY" serve >"$LOG" 2>&1 &
  "$BINARY" serve >>"$LOG" 2>&1 &
  service=$!
  local deadline=$((SECONDS + 60))
  until "$BINARY" healthcheck >/dev/null 2>&1; do
    if ! kill -0 "$service" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      die "the service did not become ready; its log ends with: $(tail -n 3 "$LOG")"
    fi
    sleep 0.1
  done
}

extract_field() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; } # the last one of that name

call_api() { # TOKEN CURL_ARGUMENTS… PATH
  local token=$1
  shift
  curl --silent --fail --header "authorization: Bearer $token" --header 'content-type: application/json' \
    "${@:1:$#-1}" "http://127.0.0.1:$ORDERLY__HTTP__PORT${*: -1}"
}

# Orders one after the other, until the file `stop` is there.
place_orders() {
  local token product number=0
  token=$(call_api none --data '{"email":"customer@example.com","password":"orderly-demo-customer"}' /v1/sessions | extract_field access_token)
  product=$(call_api none '/v1/products?limit=1' | grep -o '"id":"[^"]*' | head -n 1 | cut -d '"' -f 4)
  until [ -e "$work/stop" ]; do
    number=$((number + 1))
    call_api "$token" --output /dev/null --header "idempotency-key: backup-$number" \
      --data "{\"lines\":[{\"product_id\":\"$product\",\"quantity\":1}]}" /v1/orders || return
    echo "$number" >"$work/placed.new"
    mv "$work/placed.new" "$work/placed" # it is read at any moment
  done
}

# wait_for_orders COUNT: more than there are.
wait_for_orders() {
  local deadline=$((SECONDS + 60))
  local wanted=$(($(cat "$work/placed" 2>/dev/null || echo 0) + $1))
  until [ "$(cat "$work/placed" 2>/dev/null || echo 0)" -ge "$wanted" ]; do
    kill -0 "$ordering" 2>/dev/null || die "orders fail; the service's log ends with: $(tail -n 3 "$LOG")"
    [ "$SECONDS" -lt "$deadline" ] || die "too few orders in a minute; the service's log ends with: $(tail -n 3 "$LOG")"
    sleep 0.05
  done
}

# Each query returns what violates an invariant.
check_invariants() { # DATABASE
  local invariant violations
  while IFS='|' read -r invariant query; do
    violations=$(run_sql "$1" "SELECT count(*) FROM ($query) violations")
    [ "$violations" = 0 ] || die "$1 violates an invariant: $invariant ($violations times)"
  done <<'END'
stock + sold = received|SELECT FROM products p WHERE p.stock_received <> p.stock + (SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE l.product_id = p.id AND o.status IN ('pending', 'paid', 'shipped'))
an order's total is the sum of its lines|SELECT FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id GROUP BY o.id HAVING o.total_minor IS DISTINCT FROM sum(l.line_total_minor)
paid orders, and no others, have a payment of their total|SELECT FROM orders o LEFT JOIN payments p ON p.order_id = o.id WHERE (o.status IN ('paid', 'shipped')) <> (p.order_id IS NOT NULL) OR p.amount_minor <> o.total_minor
pending orders, and no others, have a charge to come|SELECT FROM orders o LEFT JOIN jobs j ON j.kind = 'payment' AND j.key = o.id::text AND j.payload ->> 'operation' = 'charge' WHERE (o.status = 'pending') <> (j.key IS NOT NULL)
pending orders, and no others, have an expiry to come|SELECT FROM orders o LEFT JOIN jobs j ON j.kind = 'order_expiry' AND j.key = o.id::text WHERE (o.status = 'pending') <> (j.key IS NOT NULL)
an idempotency key has its response and its order|SELECT FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.resource_id WHERE k.response_body IS NULL OR o.id IS NULL
END
}

# Everything that is in a database, in an order that does not depend on how it came there.
dump_contents() { # DATABASE
  pg_dump --dbname "$1" --schema-only --no-owner | grep -v '^\\\(un\)\?restrict '
  local table
  for table in $(run_sql "$1" "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"); do
    echo "== $table"
    run_sql "$1" "SELECT t::text FROM $table t ORDER BY 1"
  done
  run_sql "$1" "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
}

# As users without rights of their own, as README.md says: one reads, one owns the copies.
create_databases() {
  run_sql postgres "CREATE ROLE backup_reader LOGIN PASSWORD 'reader' IN ROLE pg_read_all_data;
    CREATE ROLE backup_owner LOGIN PASSWORD 'owner'"
  run_sql postgres 'CREATE DATABASE backup_source'
  run_sql postgres 'CREATE DATABASE backup_live OWNER backup_owner'
  run_sql postgres 'CREATE DATABASE backup_copy OWNER backup_owner'
}

run_backup() { PGDATABASE=$1 PGUSER=backup_reader PGPASSWORD=reader deploy/backup/backup.sh "${@:2}"; }
run_restore() { PGDATABASE=$1 PGUSER=backup_owner PGPASSWORD=owner deploy/backup/restore.sh "${@:2}"; }

expect_failure() { # REASON COMMAND…
  local reason=$1
  shift
  if "$@" >"$work/output" 2>&1; then
    die "not refused: $reason"
  fi
  grep -q "$reason" "$work/output" || die "refused, but not because: $reason. It said: $(cat "$work/output")"
}

# run_with_open_connection DATABASE COMMAND…: while somebody else is connected to it.
run_with_open_connection() {
  local code=0 reader
  run_sql "$1" 'SELECT pg_sleep(60)' 2>/dev/null &
  reader=$!
  until [ "$(run_sql postgres "SELECT count(*) FROM pg_stat_activity WHERE datname = '$1'")" != 0 ]; do sleep 0.05; done
  "${@:2}" || code=$?
  run_sql postgres "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '$1'" >/dev/null
  wait "$reader" 2>/dev/null || true
  return "$code"
}

# A backup is named after the second it is made in.
wait_for_next_second() {
  local now
  now=$(date +%s)
  until [ "$(date +%s)" != "$now" ]; do sleep 0.05; done
}

require_rust
require_program curl curl curl
log_progress "Building"
build_binaries
configure_postgres
create_databases
start_service
mkdir "$work/backups"

log_progress "A backup while orders are placed and paid"
place_orders &
ordering=$!
wait_for_orders 30
live=$(run_backup backup_source "$work/backups")
wait_for_orders 10
touch "$work/stop"
wait "$ordering"
run_restore backup_live "$live"
check_invariants backup_live
orders=$(run_sql backup_live 'SELECT count(*) FROM orders') all=$(run_sql backup_source 'SELECT count(*) FROM orders')
if [ "$orders" -lt 30 ] || [ "$orders" -ge "$all" ]; then
  die "the copy has $orders orders and the database $all: was it not taken in between?"
fi
[ "$(ORDERLY__DATABASE__URL=$(format_url backup_live) "$BINARY" migrate)" = 'the schema is up to date' ] ||
  die "the copy has another schema"

log_progress "A backup of a database at rest is the database"
kill "$service"
wait "$service" || die "the service ended with status $?"
wait_for_next_second
still=$(run_backup backup_source "$work/backups")
run_restore backup_copy "$still"
dump_contents backup_source >"$work/source"
dump_contents backup_copy >"$work/copy"
diff "$work/source" "$work/copy" >&2 || die "the copy is another database"

log_progress "What is refused, and leaves everything as it was"
expect_failure 'not empty' run_restore backup_copy "$still"
expect_failure 'stop the service first' run_with_open_connection backup_copy run_restore backup_copy "$live" --replace
cp -r "$live" "$work/damaged"
printf 'x' | dd of="$work/damaged/database.dump" bs=1 seek=5000 conv=notrunc status=none
expect_failure 'is damaged' run_restore backup_copy "$work/damaged" --replace
cp -r "$live" "$work/short"
sed -i.old 's/^public.orders|.*/public.orders|1/' "$work/short/rows"
(cd "$work/short" && sha256sum database.dump rows >SHA256SUMS)
expect_failure 'do not have the rows' run_restore backup_copy "$work/short" --replace
mkdir "$work/bin"
ln -s "$(type -P false)" "$work/bin/pg_dump"
PATH=$work/bin:$PATH expect_failure 'no new backup' run_backup backup_copy "$work/backups"
dump_contents backup_copy | diff "$work/source" - >&2 || die "a restore that failed has changed the database"

log_progress "A backup replaces what is there; those that are too old go"
run_restore backup_copy "$live" --replace
check_invariants backup_copy
[ "$(run_sql backup_copy 'SELECT count(*) FROM orders')" = "$orders" ] || die "replaced by something else"
touch -t 202001010000 "$live"
wait_for_next_second
run_backup backup_source "$work/backups" 14 >/dev/null
if [ -e "$live" ] || ! [ -e "$still" ]; then
  die "the wrong backups were removed"
fi
[ -z "$(find "$work/backups" -name '.partial*')" ] || die "half a backup was left behind"
log_progress "Backups restore: $orders orders of $all were in the one that was taken in between"
