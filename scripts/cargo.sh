#!/usr/bin/env bash
# Cargo, for the Makefile: found even where the shell has not read the profile that
# rustup wrote, and with the parts that a minimal toolchain leaves out.
set -euo pipefail
# shellcheck source=scripts/lib/require.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/require.sh"

require_rust
case ${1:-} in
  fmt) require_component fmt rustfmt ;;
  clippy) require_component clippy clippy ;;
  test) require_program curl curl curl ;; # a test runs the README's lines
esac
exec cargo "$@"
