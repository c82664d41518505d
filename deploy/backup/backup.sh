#!/usr/bin/env bash
# Writes one backup of Orderly's database into a folder, and removes those that are too old:
#
#   PGHOST=… PGUSER=… PGDATABASE=… deploy/backup/backup.sh FOLDER [KEEP_DAYS, 14 unless given]
#
# Where the database is, libpq's own variables say (PGPASSFILE for the password): a URL would
# stand in the command lines of psql and pg_dump, for everybody on the machine to read.
#
# A backup is a folder orderly-20260131T041500Z that is there as a whole or not at all:
#
#   database.dump   what pg_dump makes (custom format), for restore.sh
#   rows            each table and how many rows it had, in the same snapshot as the dump
#   SHA256SUMS      of the two, against a disk that forgets
#
# The last line printed is its path. Takes no lock that an order would wait for.
set -euo pipefail
umask 077 # it has names, addresses and password hashes in it

die() {
  printf 'backup.sh: %s\n' "$*" >&2
  exit 1
}

[ $# -ge 1 ] || die "usage: PGHOST=… PGUSER=… PGDATABASE=… backup.sh FOLDER [KEEP_DAYS]"
folder=$1 keep_days=${2:-14}
[ -n "${PGDATABASE:-}" ] || die "PGDATABASE is not set: the database to back up"
[ -d "$folder" ] || die "$folder is not a folder: make it first, on another disk than the database's"
case $keep_days in '' | *[!0-9]* | 0*) die "KEEP_DAYS is '$keep_days': expected a number of days, at least 1" ;; esac

name=orderly-$(date -u +%Y%m%dT%H%M%SZ)
case $name in orderly-[0-9]*T[0-9]*Z) ;; *) die "date printed no time: ${name#orderly-}" ;; esac
[ ! -e "$folder/$name" ] || die "$folder/$name is there already"
partial=$(mktemp -d "$folder/.partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT

# pg_dump reads in the snapshot of this transaction, so that the rows counted are the rows
# dumped, whatever is ordered meanwhile. psql does not stop for a `\!` that fails; the file
# that gets its name only afterwards does tell.
PARTIAL=$partial psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 <<'END' >"$partial/rows"
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\! pg_dump --format=custom --snapshot="$SNAPSHOT" --file="$PARTIAL/unfinished" && mv "$PARTIAL/unfinished" "$PARTIAL/database.dump"
SELECT format('SELECT %L, count(*) FROM %I.%I', schemaname || '.' || tablename, schemaname, tablename)
  FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 \gexec
COMMIT;
END
[ -s "$partial/database.dump" ] || die "pg_dump failed, see above: there is no new backup"
[ -s "$partial/rows" ] || die "$PGDATABASE has no tables: is it the right database? There is no new backup"

# Reads the archive from end to end: one that can't be read is no backup.
pg_restore --file=/dev/null "$partial/database.dump" || die "the dump can't be read back: there is no new backup"
(cd "$partial" && sha256sum database.dump rows >SHA256SUMS && sha256sum --check --strict --quiet SHA256SUMS) ||
  die "the backup has no checksums: there is no new backup"
sync "$partial"/* # on the disk before it has its name
mv "$partial" "$folder/$name"

# Only after a new one is there, and only what has the name of a backup: when backups fail, the
# old ones stay.
find "$folder" -mindepth 1 -maxdepth 1 -type d -name 'orderly-[0-9]*T[0-9]*Z' \
  -mtime "+$((keep_days - 1))" -exec rm -rf {} +
printf '%s\n' "$folder/$name"
