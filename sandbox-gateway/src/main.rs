//! The `sandbox-gateway` binary: everything is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    sandbox_gateway::cli::run().await
}
