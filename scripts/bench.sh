#!/usr/bin/env bash
# The order path against pgbench running the same transaction, for `make bench`; how it is done is
# said in loadtest/src/bench/mod.rs. Prints the result and writes it to loadtest/results. Wants a
# machine that does nothing else.
#
#   scripts/bench.sh [--redis | --everything] [--rounds 9] [--seconds 30] …
#   scripts/bench.sh --rounds 1 --seconds 2 --min-ratio 0 --result .data/bench.md    a quick trial; writes to another file
#
# Measured is what the customer waits for, and what it costs at the least: one replica, which keeps
# rate limits and cache to itself. What follows an order, its payment and its event, is done by
# another replica, so to speak: the gateway is away and the relay's lock is taken. Other results, in
# other files: with --redis, limits are shared, a question to Redis for each request; with
# --everything, there is Redis, and payments and events are worked on meanwhile as well.
set -euo pipefail
# shellcheck source=scripts/lib/services.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/services.sh"
# shellcheck source=scripts/lib/build.sh
. scripts/lib/build.sh
# shellcheck source=scripts/lib/orderly.sh
. scripts/lib/orderly.sh

command="make bench${*:+ ARGS='$*'}"
with=''
case "${1:-}" in
  --redis | --everything)
    with=${1#--}
    shift
    ;;
esac

# Holds the advisory lock of the outbox relay in a session of its own.
hold_relay_lock() {
  local lock
  lock=$(sed -n 's/^pub(super) const OUTBOX_RELAY: i64 = \(0x[0-9a-f_]*\);$/\1/p' service/src/storage/advisory_locks.rs)
  [ -n "$lock" ] || die "service/src/storage/advisory_locks.rs has no OUTBOX_RELAY"
  # Held by a session that is idle then. One that sleeps in a statement keeps a snapshot, and with it every old
  # version of every row: both sides get slower from round to round.
  start_process psql sh -c "{ echo 'SELECT pg_advisory_lock($((${lock//_/})));'; exec sleep 86400; } | '$PG_BIN/psql' -X -q" \
    >/dev/null
  local deadline=$((SECONDS + 20))
  until [ "$(run_query "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")" != 0 ]; do
    [ "$SECONDS" -lt "$deadline" ] || die "the relay's lock can't be taken"
    sleep 0.1
  done
}

describe_commit() {
  local id
  id=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
  [ -z "$(git status --porcelain 2>/dev/null)" ] || id="$id, with changes"
  echo "$id"
}

require_rust
require_postgres ''
[ -x "$PG_BIN/pgbench" ] || die "$PG_BIN has no pgbench: install it (Debian, Ubuntu: apt-get install postgresql-contrib)"
select_unprivileged_user
[ -z "$with" ] || find_or_install_redis || die "$REDIS_MISSING"
log_progress "Building (the first time takes some minutes)"
build_release_binaries
remove_stale_test_data
create_data_dir "test-$$"
stop_all() {
  [ ! -f "$DATA/orderly serve.pid" ] || kill -CONT "$(cat "$DATA/orderly serve.pid")" 2>/dev/null
  stop_process_group psql 5
  stop_services
  remove_data_dir "test-$$"
}
run_on_exit stop_all

# As one would run it: safe against a power cut, with room for some minutes without a checkpoint.
create_postgres --auth=scram-sha-256
options=(-c fsync=on -c synchronous_commit=on -c random_page_cost=1.1 -c shared_buffers=512MB
  -c max_wal_size=8GB -c checkpoint_timeout=30min -c autovacuum=off)
start_postgres "$(find_free_port)" "${options[@]}"
create_database orderly
export ORDERLY__DATABASE__URL="$POSTGRES_URL/orderly"
export PGHOST=127.0.0.1 PGUSER=orderly PGDATABASE=orderly
PGPORT=$(cat "$DATA/postgres.port") PGPASSWORD=$(cat "$DATA/postgres.password")
export PGPORT PGPASSWORD
export ORDERLY__LOG__FORMAT=json ORDERLY__LOG__FILTER=info ORDERLY__SHUTDOWN__DRAIN_DELAY=0s
# Postgres does most with about two connections for each core and one for the disk; whoever finds
# none free waits here, at no cost to it (PostgreSQL wiki, "Number Of Database Connections").
pool=$((2 * $(getconf _NPROCESSORS_ONLN) + 1))
export ORDERLY__DATABASE__POOL_SIZE=$pool
# Sixteen customers at one address, with a finger on the button.
export ORDERLY__RATE_LIMIT__LOGIN_BURST=1000 ORDERLY__RATE_LIMIT__WRITE_PER_MINUTE=6000000
export ORDERLY__RATE_LIMIT__WRITE_BURST=1000000
select_ports
setup="${ORDERLY_LOAD_PROFILE:-release} build; a pool of $pool connections for requests; rate limits, metrics, spans and a JSON log line for each request"
result=(--result "loadtest/results/order-path${with:+-with-$with}.md")
case " $* " in *" --result"*) result=() ;; esac
if [ -z "$with" ]; then
  setup="$setup; one replica, no Redis"
else
  start_redis "$(find_free_port)"
  export ORDERLY__REDIS__URL=$REDIS_URL
  setup="$setup; Redis for rate limits and cache"
fi
if [ "$with" = everything ]; then
  setup="$setup; payments and events are worked on meanwhile"
  start_gateway
else
  export ORDERLY__PAYMENTS__GATEWAY_URL=http://127.0.0.1:9
  setup="$setup; payments and events wait for another replica"
  hold_relay_lock
fi
start_service "$DATA/service.log"
mkdir -p loadtest/results
"$LOADTEST" bench --url "http://127.0.0.1:$ORDERLY__HTTP__PORT" --postgres-bin "$PG_BIN" \
  --scripts loadtest/bench ${result[@]+"${result[@]}"} --commit "$(describe_commit)" \
  --command "$command" --service-setup "$setup" \
  --postgres "$("$PG_BIN/postgres" --version) ${options[*]}" \
  --service-pid "$(cat "$DATA/orderly serve.pid")" \
  --postgres-pid "$(head -n 1 "$DATA/postgres/postmaster.pid")" "$@"
