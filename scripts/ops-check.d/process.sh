# shellcheck shell=bash
# Waits for the programs of a check and ends them. To be sourced.

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
  local deadline=$((SECONDS + $1)) pid
  pid=$(cat "$DATA/$2.pid") || return
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] && kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.1
  done
}
