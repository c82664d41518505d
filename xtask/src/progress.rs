//! Progress lines of long commands, on standard error.

/// Prints one line of progress.
#[expect(clippy::print_stderr, reason = "progress of a command is for people")]
pub fn log_progress(line: &str) {
    eprintln!("==> {line}");
}
