# shellcheck shell=bash
# The pieces that run.sh, with-services.sh and clean-data.sh share. To be sourced; goes to
# the checkout's top folder.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/lib/process.sh
. scripts/lib/process.sh
# shellcheck source=scripts/lib/data-dir.sh
. scripts/lib/data-dir.sh
# shellcheck source=scripts/lib/postgres.sh
. scripts/lib/postgres.sh
# shellcheck source=scripts/lib/redis.sh
. scripts/lib/redis.sh

# All that may run from $DATA. The service first, so that it can finish what it has begun.
stop_services() {
  stop_process "orderly serve" 60
  stop_process sandbox-gateway 10
  stop_process redis-server 20
  stop_postgres
}

# The process that a service began as; nothing if it does not run. A file may have outlived
# its process, and another program may have that number now.
find_main_pid() { # postgres | redis
  local pid
  case $1 in
    postgres) pid=$(head -n 1 "$DATA/postgres/postmaster.pid" 2>/dev/null) || return 0 ;;
    redis) pid=$(cat "$DATA/redis-server.pid" 2>/dev/null) || return 0 ;;
  esac
  case $(read_command_line "$pid") in
    *"$1"*) echo "$pid" ;;
  esac
}

# send_signal NAME postgres|redis: to all its processes. The first one is stopped before the
# others go, or it would begin to mend what it sees.
send_signal() {
  local first children
  first=$(find_main_pid "$2")
  [ -n "$first" ] || return 0
  [ "$1" = CONT ] || kill -STOP "$first"
  children=$(ps -A -o ppid= -o pid= | awk -v first="$first" '$1 == first { print $2 }')
  # shellcheck disable=SC2086  # several numbers; one may have ended meanwhile
  kill "-$1" $children "$first" 2>/dev/null || true
}

# wait_until_stopped postgres|redis: waits until what was killed is.
wait_until_stopped() {
  local deadline=$((SECONDS + 20))
  while [ -n "$(find_main_pid "$1")" ]; do
    [ "$SECONDS" -lt "$deadline" ] || die "$1 outlives SIGKILL"
    sleep 0.05
  done
}

# For data that nobody wants to keep.
kill_services() {
  local name
  for name in "orderly serve" sandbox-gateway psql; do
    ! is_running "$name" || kill -KILL "$pid"
  done
  send_signal KILL postgres
  send_signal KILL redis
}
