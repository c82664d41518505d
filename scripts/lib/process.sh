# shellcheck shell=bash
# Starts and stops processes so that none is left behind, whoever stops the
# script: Ctrl-C, a CI runner's SIGTERM, a closed terminal, even `kill -9` (then
# the next start finds and stops what was left). Each child's pid is kept in
# $DATA/NAME.pid, where NAME is a word of the child's command line. To be sourced.

# Postgres refuses to run as root, so for root everything that stores data runs as
# an account without rights. To be called when Postgres is there: Debian's package
# brings the account along. `env` stands for "no change".
select_unprivileged_user() {
  UNPRIVILEGED_USER=$(id -un)
  UNPRIVILEGED=(env)
  [ "$(id -u)" = 0 ] || return 0
  UNPRIVILEGED_USER=postgres
  id "$UNPRIVILEGED_USER" >/dev/null 2>&1 || UNPRIVILEGED_USER=nobody
  if command -v setpriv >/dev/null; then
    UNPRIVILEGED=(setpriv "--reuid=$UNPRIVILEGED_USER" "--regid=$(id -g "$UNPRIVILEGED_USER")" --clear-groups)
  else
    UNPRIVILEGED=(sudo -n -u "$UNPRIVILEGED_USER")
  fi
}

# From the root folder: the account may not be allowed to stand in this one. In the C
# locale: we read what Postgres says, and on macOS it does not start without a locale.
run_unprivileged() { (cd / && export LC_ALL=C && exec "${UNPRIVILEGED[@]}" "$@"); }

# start_process NAME COMMAND…: in the background, as leader of a process group of its own.
# Ctrl-C signals the whole group in the terminal's foreground; outside it, a child
# gets only the signals we send, in our order. (`setsid` does not exist on macOS;
# bash's `set -m` would take the terminal away from make.)
start_process() {
  local name=$1
  shift
  # shellcheck disable=SC2016  # that is Perl
  perl -e 'setpgrp; @SIG{"INT", "QUIT"} = ("DEFAULT", "DEFAULT"); exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n"' \
    -- "$@" </dev/null &
  echo $! >"$DATA/$name.pid"
}

read_command_line() {
  ps -p "$1" -o command= 2>/dev/null || tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline"
}

# is_running NAME: is the process noted under this name alive, and still the same
# program? Sets $pid.
is_running() {
  pid=$(cat "$DATA/$1.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null || return 1
  case $(read_command_line "$pid") in
    *"$1"*) return 0 ;;
    *) return 1 ;;
  esac
}

# stop_process NAME SECONDS: SIGTERM, and SIGKILL after that long.
stop_process() {
  if is_running "$1"; then
    terminate_process "$1" "$pid" "$2"
  fi
  rm -f "$DATA/$1.pid"
}

# stop_process_group NAME SECONDS: with everything it started and left behind.
stop_process_group() {
  if [ -f "$DATA/$1.pid" ]; then
    terminate_process "$1" "-$(cat "$DATA/$1.pid")" "$2"
    rm -f "$DATA/$1.pid"
  fi
}

# terminate_process NAME PID SECONDS: a negative PID is a process group.
terminate_process() {
  local deadline=$((SECONDS + $3))
  kill -TERM -- "$2" 2>/dev/null || true
  while kill -0 -- "$2" 2>/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      log_progress "$1 did not stop within $3 s: killing it"
      kill -KILL -- "$2" 2>/dev/null || true
      wait "${2#-}" 2>/dev/null || true # bash would report the death
      break
    fi
    sleep 0.1
  done
}

# Calls FUNCTION on the way out, however the script ends. A second Ctrl-C must not
# cut the stopping short.
run_on_exit() {
  # shellcheck disable=SC2064  # the name is wanted now
  trap "handle_exit \$? $1" EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
}

handle_exit() { # STATUS FUNCTION
  trap '' INT TERM HUP
  set +e
  "$2"
  exit "$1"
}

# is_port_taken PORT: does something listen there?
is_port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the ports that systems give to outgoing connections. Another process may
# take it before we do: who starts a server on it tries again.
find_free_port() {
  local port
  while
    port=$((20000 + RANDOM % 12000))
    is_port_taken "$port"
  do :; done
  echo "$port"
}

# is_http_ok PORT PATH: does it answer 200? (curl may not be there.)
is_http_ok() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$2" >&3
    read -r -t 2 status <&3 && [ "${status#* 200}" != "$status" ]
  ) 2>/dev/null
}

# wait_until SECONDS NAME COMMAND…: until the command succeeds; fails when the time
# is up or the process started under NAME has ended.
wait_until() {
  local deadline=$((SECONDS + $1)) name=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] && kill -0 "$(cat "$DATA/$name.pid")" 2>/dev/null || return 1
    sleep 0.1
  done
}
