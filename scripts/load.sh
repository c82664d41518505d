#!/usr/bin/env bash
# A load test, for `make load`: starts iterations at a constant rate against a release build of the
# service with a Postgres, a Redis and a gateway of its own, then checks thresholds and invariants.
# With `--url` in the arguments, against the service there; the invariants are checked if its
# database is in ORDERLY__DATABASE__URL (and with `--ledger`, its sandbox gateway in
# ORDERLY__PAYMENTS__GATEWAY_URL). The report goes to .data/load.
#
#   scripts/load.sh --scenario browse --rate 200 --duration 1m
set -euo pipefail
# shellcheck source=scripts/lib/services.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/services.sh"
# shellcheck source=scripts/lib/build.sh
. scripts/lib/build.sh
# shellcheck source=scripts/lib/orderly.sh
. scripts/lib/orderly.sh

run_load_test() {
  mkdir -p .data/load
  "$LOADTEST" run --html ".data/load/$(date -u +%Y-%m-%dT%H%M%SZ).html" "$@"
}

require_rust
case " $* " in
  *" --help "* | *" -h "* | *" --url"*)
    build_release_binaries
    run_load_test ${ORDERLY__DATABASE__URL:+--check-invariants "$BINARY"} "$@"
    exit
    ;;
esac

require_postgres ''
select_unprivileged_user
find_or_install_redis || die "$REDIS_MISSING"
log_progress "Building (the first time takes some minutes)"
build_release_binaries
remove_stale_test_data
create_data_dir "test-$$"
stop_all() {
  stop_services
  remove_data_dir "test-$$"
}
run_on_exit stop_all

create_postgres --auth=scram-sha-256
start_postgres "$(find_free_port)" -c random_page_cost=1.1
create_database orderly
start_redis "$(find_free_port)"
export ORDERLY__DATABASE__URL="$POSTGRES_URL/orderly" ORDERLY__REDIS__URL=$REDIS_URL
export ORDERLY__LOG__FORMAT=json ORDERLY__LOG__FILTER=info ORDERLY__SHUTDOWN__DRAIN_DELAY=0s
# All virtual users come from one address.
export ORDERLY__RATE_LIMIT__READ_PER_MINUTE=6000000 ORDERLY__RATE_LIMIT__READ_BURST=100000
export ORDERLY__RATE_LIMIT__REGISTER_PER_MINUTE=6000 ORDERLY__RATE_LIMIT__REGISTER_BURST=1000
export ORDERLY__RATE_LIMIT__LOGIN_PER_MINUTE=6000 ORDERLY__RATE_LIMIT__LOGIN_BURST=1000
select_ports
start_gateway
start_service "$DATA/service.log"
run_load_test --url "http://127.0.0.1:$ORDERLY__HTTP__PORT" --check-invariants "$BINARY" --ledger "$@"
