//! The process itself: which build it is, its runtime, its log, its health.

use tokio::runtime::Handle;

use super::MetricRegistry;
use super::declaration::metrics;
use crate::telemetry::logging;

metrics! {
    /// The process itself.
    pub(crate) struct ProcessMetrics {
        /// Which build this is; always 1.
        pub(super) build_info: IntGaugeVec[version(..), commit(..)];
        /// Threads of the main runtime.
        runtime_workers: IntGauge;
        /// Tasks alive on the main runtime.
        runtime_alive_tasks: IntGauge;
        /// Tasks that wait for a thread of the main runtime.
        runtime_global_queue_depth: IntGauge;
        /// Log lines dropped because nobody read standard output.
        log_lines_dropped: IntCounter;
        /// How late the latest event loop was at worst, from one health check to the next.
        pub(crate) event_loop_lag: Gauge;
        /// Health check: 0 healthy, 1 degraded, 2 unhealthy.
        pub(crate) health_check_status: IntGaugeVec[check(..)];
        /// Handlers that panicked.
        pub(crate) handler_panics: IntCounter;
        /// Passwords hashed or verified.
        pub(crate) password_hashes: IntCounter;
    }
}

impl ProcessMetrics {
    /// Reads the log and `runtime`, the main one, before each scrape. Each HTTP worker has a small
    /// runtime of its own, which is not in here.
    pub(crate) fn watch(&self, runtime: Handle, registry: &MetricRegistry) {
        let metrics = self.clone();
        registry.before_scrape(move || metrics.refresh(&runtime));
    }

    fn refresh(&self, runtime: &Handle) {
        let runtime = runtime.metrics();
        for (gauge, value) in [
            (&self.runtime_workers, runtime.num_workers()),
            (&self.runtime_alive_tasks, runtime.num_alive_tasks()),
            (
                &self.runtime_global_queue_depth,
                runtime.global_queue_depth(),
            ),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        // There is one log, whatever registries show it.
        let dropped = logging::dropped_lines();
        (self.log_lines_dropped).inc_by(dropped.saturating_sub(self.log_lines_dropped.get()));
    }
}
