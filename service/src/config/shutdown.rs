//! Stopping without losing anything.

use std::time::Duration;

use super::section::{section, within};

section! {
    /// Deadlines of the shutdown's phases. Their sum must fit into what the supervisor allows (`TimeoutStopSec`,
    /// `terminationGracePeriodSeconds`), which kills the process after.
    pub struct ShutdownConfig {}
    durations {
        /// For requests in flight, 0s to 10m.
        drain = Duration::from_secs(20), within(Duration::ZERO..=Duration::from_mins(10));
        /// For background jobs, 0s to 10m.
        jobs = Duration::from_secs(10), within(Duration::ZERO..=Duration::from_mins(10));
    }
}
