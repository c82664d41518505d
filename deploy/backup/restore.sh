#!/usr/bin/env bash
# Restores a backup that backup.sh made, into an empty database:
#
#   PGHOST=… PGUSER=… PGDATABASE=… deploy/backup/restore.sh BACKUP [--replace]
#
# All of it or nothing, in one transaction, which ends with every table's rows being counted and
# held against what the backup says it has. With --replace the schema that is there is dropped in
# the same transaction, so that a restore that fails leaves what there was (Postgres 15 or newer:
# before, the owner of a database does not own that schema).
set -euo pipefail

die() {
  printf 'restore.sh: %s\n' "$*" >&2
  exit 1
}

run_query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }

[ $# -ge 1 ] || die "usage: PGHOST=… PGUSER=… PGDATABASE=… restore.sh BACKUP [--replace]"
backup=$1 replace=${2:-}
case $replace in '' | --replace) ;; *) die "what is $replace? expected --replace, or nothing" ;; esac
[ -n "${PGDATABASE:-}" ] || die "PGDATABASE is not set: the database to restore into"
[ -f "$backup/SHA256SUMS" ] || die "$backup is not a backup: it has no SHA256SUMS"
(cd "$backup" && sha256sum --check --strict --quiet SHA256SUMS) || die "$backup is damaged: take another one"
counts=$(awk -F '|' '{ rows += $2 } END { printf "%d tables, %d rows", NR, rows }' "$backup/rows")
case $counts in [1-9]*) ;; *) die "$backup has no list of tables: take another one" ;; esac

tables=$(run_query --command "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
if [ "$tables" != 0 ] && [ -z "$replace" ]; then
  die "the database is not empty, it has $tables tables: restore into a new one, or say --replace to lose what is in it"
fi

# A service that still runs would write into what is being replaced. (Postgres' own workers have
# no user.)
others=$(run_query --command "SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND usename IS NOT NULL AND pid <> pg_backend_pid()")
[ "$others" = 0 ] || die "$others other connections are open to this database: stop the service first"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What psql is given. Where it ends before COMMIT, nothing has happened.
print_transaction() {
  echo 'BEGIN;'
  [ -z "$replace" ] || echo 'SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public;'
  pg_restore --no-owner --no-privileges --file=- "$backup/database.dump" || return
  cat <<'END'
\o :rows
SELECT format('SELECT %L, count(*) FROM %I.%I', schemaname || '.' || tablename, schemaname, tablename)
  FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 \gexec
\o
\set same `diff "$EXPECTED" "$ROWS" >&2 && echo true || echo false`
\if :same
COMMIT;
SET client_min_messages = error; -- it may not look at what is not ours
ANALYZE;
\else
DO $$ BEGIN RAISE 'the tables do not have the rows that the backup says (<)'; END $$;
\endif
END
}

print_transaction | EXPECTED=$backup/rows ROWS=$work/rows run_query --set rows="$work/rows" >/dev/null ||
  die "nothing was restored, see above: the database is as it was"
printf 'restored %s: %s\n' "$backup" "$counts"
