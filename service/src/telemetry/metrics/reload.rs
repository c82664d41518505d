//! Reloads of the configuration.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, Result};

use super::constructors::{counter, gauge};

/// What reloading the configuration shows of itself.
#[derive(Clone)]
pub(crate) struct ReloadMetrics {
    /// `orderly_config_reload_failures_total`: reloads rejected for a mistake.
    pub(crate) failures: IntCounter,
    /// `orderly_config_last_reload_successful`: 0 while the files hold a mistake.
    pub(crate) last_successful: IntGauge,
}

impl ReloadMetrics {
    /// Makes them; what the service started with was good.
    pub(super) fn new() -> Result<Self> {
        let metrics = Self {
            failures: counter(
                "config_reload_failures",
                "Configuration reloads rejected for a mistake",
            )?,
            last_successful: gauge(
                "config_last_reload_successful",
                "Whether the configuration was good when it was last read: 1 or 0",
            )?,
        };
        metrics.last_successful.set(1);
        Ok(metrics)
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.failures.clone()),
            Box::new(self.last_successful.clone()),
        ]
    }
}
