#!/usr/bin/env bash
# Builds the images and brings up the demo of docker-compose.yml, for `make demo`: all of it, or with `light` the service
# and what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

docker compose version >/dev/null 2>&1 ||
  die "Docker with its compose plugin is missing: see https://docs.docker.com/compose/install"
case ${1:-} in
  '') wanted=() ;;
  light) wanted=(edge) ;;
  *) die "there is no demo '$1': it is 'light', or nothing for all of it" ;;
esac
unreadable=$(find deploy/compose observability docs/runbooks ! -perm -004 -print -quit)
[ -z "$unreadable" ] ||
  log_progress "Containers run as other users, and some files here are for you alone (umask 077?): chmod -R o+rX deploy observability docs"
log_progress "Building the images (the first time takes some minutes)"
scripts/image.sh
log_progress "Starting the demo"
# Bash before 4.4, which macOS has, takes an empty array for one that is not set.
docker compose up --wait --wait-timeout 300 ${wanted[@]+"${wanted[@]}"}
cat <<'END'

  The demo is up:  http://localhost:8088

  That page links the rest and says what to try. 'make demo-down' removes it, data and all.

END
