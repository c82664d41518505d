//! Ctrl-C and its relatives: recorded, so that a command stops its processes in its own order.
//!
//! # Problem
//! A signal that ends a command at once leaves its servers running, and a second Ctrl-C cuts the
//! stopping short.
//!
//! # How it works
//! A signal is only written down. Every wait of a command looks at the record and returns an
//! error, which drops the servers on the way out; the waits of the stopping itself do not look.
//! Without [`record_signals`], as in the tests, signals do what they always do.
//!
//! # Tests
//! `interrupt_stops_everything`.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static RECORDED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The error of a wait that a signal has ended.
#[derive(Debug)]
pub struct Interrupted {
    signal: i32,
}

impl Interrupted {
    /// The exit code that shells use for this end.
    pub fn exit_code(&self) -> u8 {
        exit_code_of_signal(self.signal)
    }
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "interrupted by signal {}", self.signal)
    }
}

impl std::error::Error for Interrupted {}

/// Records SIGINT, SIGTERM and SIGHUP from now on.
///
/// # Errors
/// Returns an error if the system does not allow it.
pub fn record_signals() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal)?;
        signal_hook::flag::register_usize(signal, Arc::clone(&RECORDED), number)?;
    }
    Ok(())
}

/// # Errors
/// Returns [`Interrupted`] if a signal has come.
pub fn check_interrupt() -> Result<(), Interrupted> {
    match i32::try_from(RECORDED.load(Ordering::Relaxed)) {
        Ok(0) | Err(_) => Ok(()),
        Ok(signal) => Err(Interrupted { signal }),
    }
}

/// 128 and the number of the signal, as shells report it.
pub(crate) fn exit_code_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_is_that_of_shells() {
        let interrupted = Interrupted { signal: SIGINT };
        assert_eq!(interrupted.exit_code(), 130);
    }
}
