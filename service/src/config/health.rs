//! Health checks.

use std::path::PathBuf;
use std::time::Duration;

use super::check::in_range;
use super::section::section;

section! {
    /// What the admin listener's probes look at, and from where on something is worth a word.
    pub struct HealthConfig {
        /// Share of the cgroup's memory limit from which on the service is degraded: the kernel kills at 1.
        memory_used_threshold: f64 = 0.9, in_range(0.1..=1.0);
        /// Which file system is looked at: any path on it.
        disk_path: PathBuf = "/".into();
        /// Share of that file system that must be free, or the service is degraded.
        disk_free_threshold: f64 = 0.05, in_range(0.001..=0.9);
        /// Jobs that may wait before the service is degraded.
        job_backlog_threshold: i64 = 1000, in_range(1..=100_000_000);
    }
    durations {
        /// How long one check may take before it counts as failed. Shorter than the timeout of whoever probes
        /// (Kubernetes: 1s unless set), who would otherwise not hear which check it was.
        timeout = Duration::from_millis(800), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long what a check found is told again without looking.
        cache_ttl = Duration::from_secs(1), in_range(Duration::ZERO..=Duration::from_mins(1));
        /// How late an event loop may be before the service is degraded.
        event_loop_lag_threshold = Duration::from_millis(250), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
    }
}
