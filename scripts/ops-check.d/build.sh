# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# Builds the programs. To be sourced, after require.sh.

# Sets BINARY to the service.
build_binary() {
  local folder
  folder=$(build_programs --bin orderly) || exit
  BINARY=$folder/orderly
}

# Sets BINARY to the service and GATEWAY to the sandbox gateway.
build_binaries() {
  local folder
  folder=$(build_programs --bin orderly --bin sandbox-gateway) || exit
  BINARY=$folder/orderly GATEWAY=$folder/sandbox-gateway
}

# build_programs CARGO_OPTIONS…: builds programs and prints their folder, wherever Cargo puts it.
build_programs() {
  local messages folder
  messages=$(cargo build "$@" --message-format json-render-diagnostics) || return
  folder=$(sed -n 's/.*"executable":"\([^"]*\)\/[^"]*".*/\1/p' <<<"$messages") || return
  [ -n "$folder" ] || die "cargo build reported no program"
  printf '%s\n' "${folder##*$'\n'}"
}
