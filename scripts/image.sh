#!/usr/bin/env bash
# Builds two images: the service as orderly:dev, or as ORDERLY_IMAGE names it, and the sandbox gateway as
# sandbox-gateway:dev, or as SANDBOX_GATEWAY_IMAGE names it. Further arguments go to `docker build`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

command -v docker >/dev/null || die "Docker is missing: see https://docs.docker.com/engine/install/"

# An image of what is not committed must not claim to be the commit's.
commit=$(git describe --always --abbrev=12 --exclude '*' --dirty 2>/dev/null || true)
epoch=$(git log -1 --format=%ct 2>/dev/null || true)
# The classic builder of older engines knows no cache mounts.
export DOCKER_BUILDKIT=1

build_image() { # TARGET TAG DOCKER_ARGUMENTS…
  docker build --file deploy/docker/Dockerfile --target "$1" --tag "$2" \
    --build-arg "ORDERLY_BUILD_COMMIT=$commit" --build-arg "ORDERLY_BUILD_EPOCH=$epoch" "${@:3}" .
}

build_image orderly "${ORDERLY_IMAGE:-orderly:dev}" "$@"
build_image sandbox-gateway "${SANDBOX_GATEWAY_IMAGE:-sandbox-gateway:dev}" "$@"
