//! Stopping without losing anything.

use std::time::Duration;

use super::check::in_range;
use super::section::section;

section! {
    /// Deadlines of the shutdown's phases, in their order; together they must fit into `grace_period`.
    pub struct ShutdownConfig {}
    durations {
        /// What the supervisor allows from SIGTERM to SIGKILL: `terminationGracePeriodSeconds`, `TimeoutStopSec`. Not
        /// a timer here, only the sum that the phases are held to.
        grace_period = Duration::from_mins(1), in_range(Duration::from_secs(1)..=Duration::from_hours(1));
        /// How long requests are still taken after readiness went: as long as the load balancer needs to notice (probe
        /// period times failure threshold, or the spread of an endpoint's removal).
        drain_delay = Duration::from_secs(5), in_range(Duration::ZERO..=Duration::from_mins(10));
        /// For requests in flight. Longer than `http.request_timeout`, after which there are none; otherwise the start
        /// warns.
        drain_timeout = Duration::from_secs(20), in_range(Duration::ZERO..=Duration::from_mins(10));
        /// For background jobs.
        jobs_timeout = Duration::from_secs(10), in_range(Duration::ZERO..=Duration::from_mins(10));
        /// For connections to come back to their pools.
        pools_timeout = Duration::from_secs(5), in_range(Duration::ZERO..=Duration::from_mins(10));
        /// For the last spans to be exported. What is not by then is lost, and no failure.
        telemetry_timeout = Duration::from_secs(2), in_range(Duration::ZERO..=Duration::from_mins(10));
    }
}
