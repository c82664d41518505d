#!/usr/bin/env bash
# Every shell script of the project through shellcheck.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

require_shellcheck
find . \( -name target -o -name .data -o -name .git -o -name node_modules \) -prune -o \
  \( -name '*.sh' -o -path ./.ci/run \) -type f -exec "$SHELLCHECK" --external-sources {} +
