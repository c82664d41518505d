//! Progress of `orderly migrate`.

use std::fmt;
use std::time::Duration;

use super::LOCK_TIMEOUT;

/// Progress of a run, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MigrationEvent {
    /// Another session holds the lock of the migrations.
    Waiting {
        /// Description of that session.
        holder: String,
    },
    /// This many migrations are to be applied.
    Planned(usize),
    /// A migration was rolled back because a lock was not granted in time.
    Retrying {
        /// Name of the migration, or of the table of migrations.
        name: String,
        /// Number of the failed attempt, starting at 1.
        attempt: u32,
        /// Time until the next one.
        retry_in: Duration,
        /// The oldest open transactions, one of which may hold the lock.
        transactions: String,
    },
    /// A migration was applied.
    Applied {
        /// Its version.
        version: String,
        /// Time it took, with retries.
        duration: Duration,
    },
}

impl fmt::Display for MigrationEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { holder } => write!(f, "waiting for another migration: {holder}"),
            Self::Planned(1) => write!(f, "1 migration to apply"),
            Self::Planned(count) => write!(f, "{count} migrations to apply"),
            Self::Retrying {
                name,
                attempt,
                retry_in,
                transactions,
            } => write!(
                f,
                "{name}: attempt {attempt} got no lock within {LOCK_TIMEOUT:?} and was rolled back; retrying in \
                 {:.1} s; open transactions: {transactions}",
                retry_in.as_secs_f64()
            ),
            Self::Applied { version, duration } => {
                write!(f, "applied {version} in {:.1} s", duration.as_secs_f64())
            }
        }
    }
}
