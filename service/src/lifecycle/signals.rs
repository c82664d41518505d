//! The signals that ask the process to stop, or to read its configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Asks to stop. What the exit code says of it is 128 and its number, as a shell does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSignal {
    /// From an orchestrator.
    Terminate,
    /// Ctrl-C.
    Interrupt,
}

impl StopSignal {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// The exit code of a process that it ended.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }
}

/// Listens from the moment it is made: none that comes later is lost, and none
/// ends the process by itself.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen for SIGTERM and SIGINT.
    ///
    /// # Errors
    /// Returns an error if the process may not listen for signals.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }
}

/// SIGHUP, which daemons take as "read your configuration again".
///
/// # Errors
/// Returns an error if the process may not listen for signals.
pub(super) fn listen_for_reload() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
