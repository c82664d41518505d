#!/usr/bin/env bash
# Runs a command with a real, throw-away Postgres and Redis beside it:
#
#   scripts/with-services.sh cargo test
#
# The command finds them in ORDERLY_TEST_DATABASE_URL (a superuser, who may create
# databases) and ORDERLY_TEST_REDIS_URL, and what signed the Postgres' certificate, should it
# want TLS, in ORDERLY_TEST_CERTIFICATES. Without a command it prints these and waits for
# Ctrl-C, for tests run from an editor. Everything is gone afterwards; any number of these
# can run at once.
set -euo pipefail
# shellcheck source=scripts/lib/services.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/services.sh"

require_postgres ''
select_unprivileged_user
find_or_install_redis || die "$REDIS_MISSING"
remove_stale_test_data
create_data_dir "test-$$"

stop_all() {
  stop_process_group command 10
  stop_services
  remove_data_dir "test-$$"
}
run_on_exit stop_all

# Nothing here has to survive a power cut, and hundreds of tests connect at once.
# `password` spares a debug build the thousands of hash rounds that SCRAM asks of a client.
create_postgres --auth=password --no-sync
made=$(scripts/certs.sh "$DATA/certs" 2>&1) || die "$made"
install_certificate "$DATA/certs"
start_postgres "$(find_free_port)" -c ssl=on -F -c synchronous_commit=off -c full_page_writes=off \
  -c max_connections=500 -c random_page_cost=1.1
start_redis "$(find_free_port)"
export ORDERLY_TEST_DATABASE_URL="$POSTGRES_URL/postgres"
export ORDERLY_TEST_REDIS_URL=$REDIS_URL
export ORDERLY_TEST_CERTIFICATES=$DATA/certs

if [ $# = 0 ]; then
  printf 'export %s\n' "ORDERLY_TEST_DATABASE_URL=$ORDERLY_TEST_DATABASE_URL" \
    "ORDERLY_TEST_REDIS_URL=$ORDERLY_TEST_REDIS_URL" \
    "ORDERLY_TEST_CERTIFICATES=$ORDERLY_TEST_CERTIFICATES"
  log_progress "Ctrl-C stops them"
  set -- sleep 2147483647
fi
start_process command "$@"
wait $!
