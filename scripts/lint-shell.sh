#!/usr/bin/env bash
# Every shell script of the project through shellcheck. `check-extra-masked-returns` finds commands whose exit code is
# lost: `mapfile < <(command)`, `[ "$(command)" = x ]`, `local x=$(command)`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

require_shellcheck
lint=("$SHELLCHECK" --external-sources --enable=check-extra-masked-returns)
# A linter that is silent when all is well is also silent when it does not work.
# shellcheck disable=SC2016
if "${lint[@]}" --shell=bash - <<<'mapfile -t lines < <(false); echo "${lines[@]}"' >/dev/null; then
  die "$SHELLCHECK accepts a script that loses an exit code: version 0.9 or newer is needed"
fi
scripts=$(find . \( -name target -o -name .data -o -name .git -o -name node_modules \) -prune -o \
  \( -name '*.sh' -o -path ./.ci/run \) -type f -print)
[ -n "$scripts" ] || die "no shell script found"
files=()
while IFS= read -r file; do files+=("$file"); done <<<"$scripts"
"${lint[@]}" "${files[@]}"
