# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# Builds the programs. To be sourced, after require.sh.

# Sets BINARY to the service, wherever Cargo is told to put it.
build_binary() { BINARY=$(build_program --bin orderly); }

# The programs as they are deployed: each with no more features than it asks for itself.
# Sets BINARY and LOADTEST. With ORDERLY_LOAD_PROFILE=dev, CI saves the long release build.
build_release_binaries() {
  local profile=${ORDERLY_LOAD_PROFILE:-release}
  BINARY=$(build_program --profile "$profile" --package orderly --bin orderly)
  LOADTEST=$(build_program --profile "$profile" --package orderly-loadtest --bin orderly-loadtest)
}

# build_program CARGO_OPTIONS…: builds one program and says where it is.
build_program() {
  cargo build "$@" --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}
