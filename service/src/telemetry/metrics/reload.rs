//! Reloads of the configuration.

use super::declaration::metrics;

metrics! {
    /// Reloads of the configuration.
    pub(crate) struct ReloadMetrics {
        /// Configuration reloads rejected for a mistake.
        pub(crate) config_reload_failures: IntCounter;
        /// Whether the configuration was good when it was last read: 1 or 0.
        pub(crate) config_last_reload_successful: IntGauge;
    }
}
