//! Progress lines of long commands, on standard error.

use std::io::{Write as _, stderr};

/// Prints one line of progress. Does nothing if the terminal is closed: servers are still to be
/// stopped then.
pub fn log_progress(line: &str) {
    let _ = writeln!(stderr(), "==> {line}");
}
