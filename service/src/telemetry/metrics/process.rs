//! The process itself: which build it is, its runtime, its log, its memory and files.

use std::sync::OnceLock;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Opts, Result};
use tokio::runtime::Handle;

use super::constructors::{counter, float_gauge, gauge};

/// All there is of the process. `runtime` is the main one; each HTTP worker has a
/// small one of its own, which is not in here.
pub(crate) fn collectors(runtime: Handle) -> Result<Vec<Box<dyn Collector>>> {
    Ok(vec![
        Box::new(build_info()?),
        Box::new(RuntimeCollector::new(runtime)?),
        Box::new(log_lines_dropped()?),
        #[cfg(target_os = "linux")]
        Box::new(prometheus::process_collector::ProcessCollector::for_self()),
    ])
}

/// A gauge that is always 1: what is worth knowing are its labels.
fn build_info() -> Result<IntGaugeVec> {
    let opts = Opts::new("orderly_build_info", "Which build this is; always 1");
    let build_info = IntGaugeVec::new(opts, &["version", "commit"])?;
    let build = [env!("CARGO_PKG_VERSION"), env!("ORDERLY_BUILT_COMMIT")];
    build_info.with_label_values(&build).set(1);
    Ok(build_info)
}

/// `orderly_log_lines_dropped_total`: there is one log, whatever registries show it.
pub(crate) fn log_lines_dropped() -> Result<IntCounter> {
    static DROPPED: OnceLock<IntCounter> = OnceLock::new();
    let help = "Log lines dropped because nobody read standard output";
    let new_counter = counter("log_lines_dropped", help)?;
    Ok(DROPPED.get_or_init(|| new_counter).clone())
}

/// `orderly_event_loop_lag_seconds`
pub(crate) fn event_loop_lag() -> Result<Gauge> {
    float_gauge(
        "event_loop_lag_seconds",
        "How late the latest event loop was at worst, from one health check to the next",
    )
}

/// Read when Prometheus asks.
struct RuntimeCollector {
    handle: Handle,
    workers: IntGauge,
    alive_tasks: IntGauge,
    global_queue_depth: IntGauge,
}

impl RuntimeCollector {
    fn new(handle: Handle) -> Result<Self> {
        Ok(Self {
            handle,
            workers: gauge("runtime_workers", "Threads of the main runtime")?,
            alive_tasks: gauge("runtime_alive_tasks", "Tasks alive on the main runtime")?,
            global_queue_depth: gauge(
                "runtime_global_queue_depth",
                "Tasks that wait for a thread of the main runtime",
            )?,
        })
    }

    fn gauges(&self) -> [&IntGauge; 3] {
        [&self.workers, &self.alive_tasks, &self.global_queue_depth]
    }
}

impl Collector for RuntimeCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let runtime_metrics = self.handle.metrics();
        let values = [
            runtime_metrics.num_workers(),
            runtime_metrics.num_alive_tasks(),
            runtime_metrics.global_queue_depth(),
        ];
        for (gauge, value) in self.gauges().into_iter().zip(values) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        (self.gauges().into_iter().flat_map(Collector::collect)).collect()
    }
}
