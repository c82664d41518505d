#!/usr/bin/env bash
# Makes a renamed copy of this checkout, as `make fork` does, compiles it and runs the tests that
# compare its configuration, documents and manifests with its code. Removes the copy afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

require_rust
require_component fmt rustfmt
require_program git git git
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
make fork NAME=testfork DIR="$folder/testfork"

# The libraries are compiled already.
export CARGO_TARGET_DIR=$PWD/target
cd "$folder/testfork"
log_progress "Compiling the copy"
cargo fmt --all --check
cargo check --workspace --all-targets --all-features --locked
log_progress "Testing the copy"
# A copy can be copied again, under yet another name.
make test ARGS='--workspace --test config --test consistency --test fork'
