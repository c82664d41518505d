//! Forgets clients whose rate limits are whole again; see [`crate::limits`].

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::sleep_unless_stopped;
use crate::limits::RateLimits;

const INTERVAL: Duration = Duration::from_secs(10);

/// Works until told to stop.
pub(crate) async fn run(limits: RateLimits, stop: CancellationToken) {
    while sleep_unless_stopped(&stop, INTERVAL).await {
        let limits = limits.clone();
        // To look at each of a million clients would stall an async thread.
        if let Err(error) = tokio::task::spawn_blocking(move || limits.sweep()).await {
            tracing::error!(%error, "the rate limits were not swept");
        }
    }
}
