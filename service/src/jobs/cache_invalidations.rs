//! Tells Redis which of its cached products are out of date; see [`crate::cache`].

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::sleep_unless_stopped;
use crate::cache::ProductCache;
use crate::resilience::backoff::Backoff;
use crate::storage::error::StorageError;

const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(2),
};

/// Works until told to stop; what is noted by then is still delivered, and what the
/// other jobs note while they end is delivered after them, by whoever stops them.
pub(crate) async fn run(cache: ProductCache<StorageError>, stop: CancellationToken) {
    let mut failures = 0;
    loop {
        let flushed = cache.flush_invalidations().await;
        if stop.is_cancelled() {
            return;
        }
        if let Err(error) = flushed {
            failures += 1;
            tracing::debug!(%error, attempt = failures, "Redis can't be told what has changed");
            sleep_unless_stopped(&stop, BACKOFF.delay(failures, rand::random())).await;
        } else {
            failures = 0;
            tokio::select! {
                () = stop.cancelled() => {}
                () = cache.wait_for_invalidation() => {}
            }
        }
    }
}
