//! The Redis Stream: where events go for other programs to read.
//!
//! One entry an event, with one field `event`: the CloudEvent as JSON. The stream
//! is trimmed to about `events.max_length` entries (`MAXLEN ~`, which lets Redis
//! drop whole nodes), so a reader that stays away for longer loses the oldest.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::streams::StreamMaxlen;
use tokio::sync::OnceCell;

use super::cloud_event;
use crate::config::{EventsConfig, RedisConfig};
use crate::domain::event::OrderEvent;

/// A stream and the connection to it, which is made at the first use and made
/// again when it breaks.
pub struct RedisStream {
    client: redis::Client,
    reconnect: ConnectionManagerConfig,
    connection: OnceCell<ConnectionManager>,
    stream: String,
    max_length: usize,
}

impl RedisStream {
    /// Names the stream; connects later, so that the service starts without Redis.
    ///
    /// # Errors
    /// If `url` is no Redis URL.
    pub fn new(url: &str, redis: &RedisConfig, events: &EventsConfig) -> anyhow::Result<Self> {
        let reconnect = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(redis.connect_timeout))
            .set_response_timeout(Some(redis.response_timeout))
            .set_number_of_retries(3)
            .set_max_delay(Duration::from_secs(1));
        Ok(Self {
            client: redis::Client::open(url)?,
            reconnect,
            connection: OnceCell::new(),
            stream: events.stream.clone(),
            max_length: usize::try_from(events.max_length)?,
        })
    }

    /// Appends `events` to the stream, all in one round trip.
    ///
    /// # Errors
    /// If Redis can't be reached or refuses; some may have been appended.
    pub async fn publish(&self, events: &[OrderEvent]) -> anyhow::Result<()> {
        let connect =
            || ConnectionManager::new_with_config(self.client.clone(), self.reconnect.clone());
        let mut connection = self.connection.get_or_try_init(connect).await?.clone();
        // Atomic, or a later event could be appended where an earlier one failed.
        let mut append = redis::pipe();
        append.atomic();
        for event in events {
            let body = cloud_event::to_json(event)?;
            append.xadd_maxlen(
                &self.stream,
                StreamMaxlen::Approx(self.max_length),
                "*",
                &[("event", body)],
            );
        }
        append.exec_async(&mut connection).await?;
        Ok(())
    }
}
