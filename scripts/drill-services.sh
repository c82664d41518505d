#!/usr/bin/env bash
# A Postgres and a Redis of a drill's own, to be killed, frozen and started again; see
# service/tests/drills. Prints their URLs, one a line, and then does what it is told on
# standard input, one command a line, each answered with a line `done`:
#
#   kill postgres      all of its processes at once, with SIGKILL
#   freeze postgres    SIGSTOP: it still takes connections, and never answers
#   thaw postgres      it goes on where it was
#   start postgres     again, on the same port, with the data that is there
#
# and the same of redis. When the input ends, everything is stopped and removed: a drill
# need not live long enough to ask for it.
set -euo pipefail
# shellcheck source=scripts/lib/services.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/services.sh"

require_postgres ''
select_unprivileged_user
find_or_install_redis || die "$REDIS_MISSING"
require_program haproxy haproxy haproxy
remove_stale_test_data
create_data_dir "test-$$"

remove_all() {
  kill_services
  remove_data_dir "test-$$"
}
run_on_exit remove_all

# What is killed here loses no power: the operating system still writes its pages down. But a
# commit must have left the process before it is answered, so `synchronous_commit` stays on.
start_drill_postgres() {
  start_postgres "$(find_free_port)" -F -c full_page_writes=off -c max_connections=200 \
    -c random_page_cost=1.1
}

start_drill_redis() { start_redis "$(find_free_port)"; }

create_postgres --auth=password --no-sync
start_drill_postgres
create_database orderly
start_drill_redis
printf '%s\n' "$POSTGRES_URL/orderly" "$REDIS_URL"

while read -r verb service; do
  case "$verb $service" in
    "kill postgres" | "kill redis") send_signal KILL "$service"; wait_until_stopped "$service" ;;
    "freeze postgres" | "freeze redis") send_signal STOP "$service" ;;
    "thaw postgres" | "thaw redis") send_signal CONT "$service" ;;
    "start postgres" | "start redis") "start_drill_$service" ;;
    *) die "unknown command: $verb $service" ;;
  esac
  echo "done"
done
