#!/usr/bin/env bash
# A developer command of xtask/, which is built first, for the Makefile:
#
#   scripts/xtask.sh services -- cargo test
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec scripts/cargo.sh run --quiet ${CI:+--locked} --package xtask -- "$@"
