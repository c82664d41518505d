//! Closes database connections that nobody uses.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::sleep_unless_stopped;
use crate::storage::database::Databases;

const INTERVAL: Duration = Duration::from_secs(10);

/// Works until told to stop.
pub(crate) async fn run(databases: Databases, stop: CancellationToken) {
    while sleep_unless_stopped(&stop, INTERVAL).await {
        databases.requests.close_idle();
        databases.background.close_idle();
    }
}
