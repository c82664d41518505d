# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# A private Postgres in $DATA/postgres: 127.0.0.1 only, a port and a random password
# of its own, no socket file (a path longer than 107 bytes is refused, and a
# checkout's may be). To be sourced.

# create_postgres INITDB_OPTIONS…: unless it is there already. The role `orderly` may
# do anything in it.
create_postgres() {
  local found
  if [ -f "$DATA/postgres/PG_VERSION" ]; then
    found=$(cat "$DATA/postgres/PG_VERSION")
    [ "$found" = "$PG_MAJOR" ] ||
      die "the data is of Postgres $found and only $PG_MAJOR is installed: install $found, or drop the data with 'make clean-data'"
    return
  fi
  log_progress "Creating a private Postgres $PG_MAJOR in $DATA/postgres"
  (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$DATA/postgres.password")
  give_ownership "$DATA/postgres.password"
  rm -rf "$DATA/postgres.new"
  mkdir "$DATA/postgres.new"
  give_ownership "$DATA/postgres.new"
  run_unprivileged "$PG_BIN/initdb" -D "$DATA/postgres.new" --username=orderly \
    --pwfile="$DATA/postgres.password" --encoding=UTF8 --no-locale "$@" \
    >"$DATA/initdb.log" 2>&1 || die "initdb failed: $(tail -n 3 "$DATA/initdb.log")"
  # Only a whole cluster gets the name, should we be stopped on the way.
  mv "$DATA/postgres.new" "$DATA/postgres"
}

# start_postgres PORT OPTIONS…: sets POSTGRES_URL, without a database's name. Another
# port is taken, and kept, if that one is not free.
start_postgres() {
  local port attempt log=$DATA/postgres/server.log
  port=$(cat "$DATA/postgres.port" 2>/dev/null || echo "$1")
  shift
  for attempt in 1 2 3 4 5; do
    is_port_taken "$port" && port=$(find_free_port)
    # pg_ctl puts the server into a session of its own: Ctrl-C does not reach it.
    if run_unprivileged "$PG_BIN/pg_ctl" start -D "$DATA/postgres" -l "$log" -w -s -t 60 \
      -o "-p $port -h 127.0.0.1 -k '' $*" >>"$DATA/pg_ctl.log" 2>&1; then
      echo "$port" >"$DATA/postgres.port"
      POSTGRES_URL="postgres://orderly:$(cat "$DATA/postgres.password")@127.0.0.1:$port"
      return
    fi
    log_progress "Postgres did not start on port $port (attempt $attempt of 5)"
    tail -n 20 "$log" 2>/dev/null | grep -q 'could not bind' || break
    port=$(find_free_port)
  done
  die "Postgres did not start; $log ends with: $(tail -n 3 "$log")"
}

# install_certificate FOLDER: of certs.sh; to be started with `-c ssl=on`.
install_certificate() {
  local end
  for end in crt key; do
    cp "$1/postgres.$end" "$DATA/postgres/server.$end"
    give_ownership "$DATA/postgres/server.$end"
  done
}

# create_database NAME: unless it is there already.
create_database() {
  if [ -z "$(run_query "SELECT 1 FROM pg_database WHERE datname = '$1'")" ]; then
    run_query "CREATE DATABASE $1"
  fi
}

# The password travels in the environment: anybody may read a command line.
run_query() {
  PGPASSWORD=$(cat "$DATA/postgres.password") "$PG_BIN/psql" -X -q -A -t \
    -h 127.0.0.1 -p "$(cat "$DATA/postgres.port")" -U orderly -d postgres -c "$1"
}

# `fast` ends the sessions, then writes everything down.
stop_postgres() {
  [ -f "$DATA/postgres/postmaster.pid" ] || return 0
  # It fails where the file was left by a server that is gone: as good as stopped.
  run_unprivileged "$PG_BIN/pg_ctl" stop -D "$DATA/postgres" -m fast -w -s -t 60 \
    >>"$DATA/pg_ctl.log" 2>&1 || true
}
