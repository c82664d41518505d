# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# A private Redis in $DATA/redis: 127.0.0.1 only, a port of its own. To be sourced.

# is_redis_ready PORT: and it is the one we started, not another that was there first.
is_redis_ready() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'INFO server\r\nQUIT\r\n' >&3
    tr -d '\r' <&3 | grep -qx "process_id:$(cat "$DATA/redis-server.pid")"
  ) 2>/dev/null
}

# start_redis PORT OPTIONS…: sets REDIS_URL. Another port is taken, and kept, if that one
# is not free.
start_redis() {
  local port attempt log=$DATA/redis.log
  port=$(cat "$DATA/redis.port" 2>/dev/null || echo "$1")
  shift
  mkdir -p "$DATA/redis"
  give_ownership "$DATA/redis"
  for attempt in 1 2 3 4 5; do
    is_port_taken "$port" && port=$(find_free_port)
    start_process redis-server "${UNPRIVILEGED[@]}" redis-server --port "$port" --bind 127.0.0.1 \
      --dir "$DATA/redis" --save '' "$@" >"$log" 2>&1
    if wait_until 20 redis-server is_redis_ready "$port"; then
      echo "$port" >"$DATA/redis.port"
      REDIS_URL="redis://127.0.0.1:$port/"
      return
    fi
    log_progress "Redis did not start on port $port (attempt $attempt of 5)"
    stop_process redis-server 5
    port=$(find_free_port)
  done
  die "Redis did not start; $log ends with: $(tail -n 3 "$log")"
}
