#!/usr/bin/env bash
# Builds the service's image as orderly:dev, or as what ORDERLY_IMAGE says. Further arguments go to `docker build`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

command -v docker >/dev/null || die "Docker is missing: see https://docs.docker.com/engine/install/"

# An image of what is not committed must not claim to be the commit's.
commit=$(git describe --always --abbrev=12 --exclude '*' --dirty 2>/dev/null || true)
# The classic builder of older engines knows no cache mounts.
export DOCKER_BUILDKIT=1
exec docker build --file deploy/docker/Dockerfile --tag "${ORDERLY_IMAGE:-orderly:dev}" \
  --build-arg "ORDERLY_BUILD_COMMIT=$commit" \
  --build-arg "ORDERLY_BUILD_EPOCH=$(git log -1 --format=%ct 2>/dev/null || true)" \
  "$@" .
