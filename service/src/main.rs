//! The `orderly` binary: everything is in the library.

use std::num::NonZero;
use std::process::ExitCode;

use mimalloc::MiMalloc;
use tokio::runtime::Builder;

/// Allocating was about a tenth of the CPU that an order took with the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A runtime of several threads: the pools live on it and outlast any one worker of the HTTP server, each of which
/// has a single-threaded runtime of its own.
///
/// Requests are worked on by those, except for new orders (`Database::run_on_db_runtime`). This one works on these,
/// reads and writes for the pools, and runs the jobs; with more threads than that takes, they mostly wake each other up,
/// which on two cores cost a fifth of the CPU of an order. So there is one for two cores, as there should be of those
/// (`http.workers`).
fn main() -> std::io::Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores.div_ceil(2))
        .enable_all()
        .build()?;
    let code = runtime.block_on(orderly::cli::run());
    // To drop it would wait for its blocking threads, and one that looks at a network disk that hangs never ends.
    // All that had to be waited for has been: the phases of the shutdown saw to that.
    runtime.shutdown_background();
    Ok(code)
}
