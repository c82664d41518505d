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
built=${CARGO_TARGET_DIR:-$PWD/target}
trap 'rm -rf "$folder" "$built/copy"' EXIT
make fork NAME=testfork DIR="$folder/testfork"

# The libraries are compiled already. They are copied: Cargo takes a crate of the copy for the one of
# this checkout if both have the same name, and would run the copy's program here.
export CARGO_TARGET_DIR=$built/copy
mkdir -p "$CARGO_TARGET_DIR/debug"
for part in .fingerprint build deps; do
  [ ! -d "$built/debug/$part" ] || cp -a "$built/debug/$part" "$CARGO_TARGET_DIR/debug/"
done
cd "$folder/testfork"
log_progress "Compiling the copy"
cargo fmt --all --check
cargo check --workspace --all-targets --all-features --locked
log_progress "Testing the copy"
# A copy can be copied again, under yet another name.
make test ARGS='--workspace --test config --test consistency --test fork'
