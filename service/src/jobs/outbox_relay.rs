//! The outbox relay: publishes events in their order.
//!
//! Two relays at once could publish the events of one order in the wrong order.
//! So there is one: the replica whose session holds an advisory lock. When it
//! dies, Postgres ends its session, the lock is free, and another one goes on
//! where the rows say. A Postgres that stands still ends no session: whoever waits
//! for it for too long gives the session up himself.
//!
//! See it break: `relay_reconnects_when_postgres_is_frozen` and others in
//! `tests/api/orders/events.rs`.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use prometheus::IntCounter;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{sleep_unless_stopped, with_timeout};
use crate::config::EventsConfig;
use crate::events::Publisher;
use crate::resilience::backoff::Backoff;
use crate::storage::database::Database;
use crate::storage::outbox;
use crate::usecases::publish_events::publish_events;

const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(10),
};

/// What the relay needs. Clones share it.
#[derive(Clone)]
pub struct OutboxRelay {
    /// Where the events are.
    pub database: Database,
    /// Where they go.
    pub publisher: Arc<Publisher>,
    /// How many at once, how often.
    pub config: EventsConfig,
    /// Counts them.
    pub published: IntCounter,
}

impl OutboxRelay {
    /// Works until told to stop.
    pub async fn run(self, mut notifications: watch::Receiver<()>, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            match self
                .run_session(&mut notifications, &stop, &mut failures)
                .await
            {
                Ok(()) => return,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(error = %format_args!("{error:#}"), "events wait in the outbox");
                }
            }
            if !sleep_unless_stopped(&stop, BACKOFF.delay(failures, rand::random())).await {
                return;
            }
        }
    }

    /// One session: waits to become the relay, then relays until something fails
    /// (`Err`: begin again with a new session) or it is told to stop.
    async fn run_session(
        &self,
        notifications: &mut watch::Receiver<()>,
        stop: &CancellationToken,
        failures: &mut u32,
    ) -> anyhow::Result<()> {
        let mut conn = self.database.dedicated_connection().await?;
        while !with_timeout(outbox::try_acquire_relay_lock(&mut conn)).await? {
            if !sleep_unless_stopped(stop, self.config.poll_interval).await {
                return Ok(());
            }
        }
        loop {
            self.publish_pending(&mut conn, stop).await?;
            *failures = 0;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Ok(()) = notifications.changed() => {}
                () = tokio::time::sleep(self.config.poll_interval) => {}
            }
        }
    }

    async fn publish_pending(
        &self,
        conn: &mut AsyncPgConnection,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            let published = with_timeout(publish_events(
                conn,
                &self.publisher,
                self.config.batch_size,
            ))
            .await?;
            if published == 0 {
                break;
            }
            self.published.inc_by(published as u64);
        }
        Ok(())
    }
}
