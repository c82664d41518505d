//! The parts that processes play, and how each is stopped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

/// The part that a process plays, in the order of stopping: the service stops before the
/// servers that it needs, so that it can finish its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A command of the caller, with all processes that it has started.
    Command,
    /// The service.
    Service,
    /// The sandbox payment gateway.
    Gateway,
    /// Redis.
    Redis,
    /// Postgres.
    Postgres,
}

impl Role {
    pub(crate) const IN_STOP_ORDER: [Self; 5] = [
        Self::Command,
        Self::Service,
        Self::Gateway,
        Self::Redis,
        Self::Postgres,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Service => "service",
            Self::Gateway => "gateway",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }

    /// SIGINT is the "fast" shutdown of Postgres: it ends the sessions, then writes everything.
    pub(crate) fn stop_signal(self) -> Signal {
        match self {
            Self::Postgres => Signal::INT,
            _ => Signal::TERM,
        }
    }

    pub(crate) fn stop_timeout(self) -> Duration {
        Duration::from_secs(match self {
            Self::Command | Self::Gateway => 10,
            Self::Redis => 20,
            Self::Service | Self::Postgres => 60,
        })
    }

    pub(crate) fn pid_file(self, data: &Path) -> PathBuf {
        data.join(format!("{}.pid", self.name()))
    }
}
