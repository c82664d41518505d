//! The gauges of a pool, read before each scrape.

use super::session_manager::SessionPool;
use crate::telemetry::metrics::Metrics;

/// Shows the connections of `pool` in `orderly_pool_connections` from now on.
pub(super) fn watch_pool(metrics: &Metrics, name: &'static str, pool: SessionPool) {
    let connections = metrics.pools.pool_connections.clone();
    metrics.registry.before_scrape(move || {
        let status = pool.status();
        for (state, value) in [
            ("max", status.max_size),
            ("open", status.size),
            ("in_use", status.size.saturating_sub(status.available)),
            ("waiting", status.waiting),
        ] {
            let gauge = connections.with_label_values(&[name, state]);
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    });
}
