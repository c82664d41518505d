#!/usr/bin/env bash
# Run once by the Postgres image, when it makes the database: an account for the exporter, which may read statistics
# and nothing else.
set -euo pipefail

# Through the environment: a command line can be read by others.
MONITOR_PASSWORD=$(cat /run/secrets/monitor_password) psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set ON_ERROR_STOP=1 <<'SQL'
\getenv password MONITOR_PASSWORD
CREATE ROLE monitor LOGIN PASSWORD :'password';
GRANT pg_monitor TO monitor;
SQL
