//! The `orderly` binary: everything is in the library.

use std::process::ExitCode;

/// A runtime of several threads: the pools live on it and outlast any one worker of the HTTP server, each of which
/// has a single-threaded runtime of its own.
#[tokio::main]
async fn main() -> ExitCode {
    orderly::cli::run().await
}
