# shellcheck shell=bash
# The pieces that run.sh, with-services.sh and clean-data.sh share. To be sourced; goes to
# the checkout's top folder.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
# shellcheck source=scripts/require.sh
. scripts/require.sh
# shellcheck source=scripts/process.sh
. scripts/process.sh
# shellcheck source=scripts/data.sh
. scripts/data.sh
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh
# shellcheck source=scripts/redis.sh
. scripts/redis.sh

# All that may run from $DATA. The service first, so that it can finish what it has begun.
stop_services() {
  stop "orderly serve" 60
  stop "orderly sandbox-gateway" 10
  stop redis-server 20
  stop_postgres
}
