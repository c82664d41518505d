#!/usr/bin/env bash
# Run once by the Postgres image, when it makes the database: an account for the exporter, which may read statistics
# and nothing else.
set -euo pipefail

# Through the environment: a command line can be read by others.
MONITOR_PASSWORD=$(cat /run/secrets/monitor_password)
if [ -z "$MONITOR_PASSWORD" ]; then
  echo 'create-monitor-role.sh: /run/secrets/monitor_password is empty, and the role would have no password' >&2
  exit 1
fi
export MONITOR_PASSWORD
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 <<'SQL'
\getenv password MONITOR_PASSWORD
CREATE ROLE monitor LOGIN PASSWORD :'password';
GRANT pg_monitor TO monitor;
SQL
