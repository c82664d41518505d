//! The `orderly` binary: everything is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use tokio::runtime::Runtime;

/// A request is built from some hundred small pieces, and freed on another thread than it was made on: what the
/// system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A runtime of several threads: the pools live on it and outlast any one worker of the HTTP server, each of which
/// has a single-threaded runtime of its own.
fn main() -> std::io::Result<ExitCode> {
    let runtime = Runtime::new()?;
    let code = runtime.block_on(orderly::cli::run());
    // To drop it would wait for its blocking threads, and one that looks at a network disk that hangs never ends.
    // All that had to be waited for has been: the phases of the shutdown saw to that.
    runtime.shutdown_background();
    Ok(code)
}
