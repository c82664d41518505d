#!/usr/bin/env bash
# Removes .data and what it points to, for `make clean-data`: the next `make run` starts
# from nothing.
set -euo pipefail
# shellcheck source=scripts/lib/services.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/services.sh"

find_postgres || true
select_unprivileged_user
DATA=$(resolve_path .data/run)
if [ -n "$DATA" ]; then
  ! is_running run.sh || die "'make run' runs in this checkout (process $pid): stop it first"
  stop_services
fi
remove_data_dir run
remove_stale_test_data
if ls -d .data/test-* >/dev/null 2>&1; then
  die "tests run in this checkout: stop them first"
fi
rm -rf .data
