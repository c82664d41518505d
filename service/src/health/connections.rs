//! Listeners whose connections are nearly all in use.

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{CheckResult, HealthCheck};
use crate::limits::connections::Connections;

/// Share of `http.max_connections` from which a listener is degraded. Idle connections are closed from 80 % on, so that
/// above it all are occupied by clients.
const DEGRADED_PERCENT: usize = 90;

/// Whether a listener is about to reject connections.
pub(crate) struct ConnectionsCheck(pub(crate) Connections);

impl HealthCheck for ConnectionsCheck {
    fn name(&self) -> &'static str {
        "connections"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let (open, limit) = self.0.usage();
            let is_degraded = open * 100 >= limit * DEGRADED_PERCENT;
            let details = json!({ "open": open, "limit": limit });
            Ok(CheckResult::degraded_if(is_degraded, details))
        })
    }
}
