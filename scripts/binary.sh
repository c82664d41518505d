# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# Builds the service. To be sourced, after require.sh.

# Sets BINARY, wherever Cargo is told to put it.
build_binary() {
  BINARY=$(cargo build --bin orderly --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
}
