//! The Redis Stream: where events go for other programs to read.
//!
//! One entry an event, with one field `event`: the CloudEvent as JSON. The stream
//! is trimmed to about `events.max_length` entries (`MAXLEN ~`, which lets Redis
//! drop whole nodes), so a reader that stays away for longer loses the oldest.

use redis::streams::StreamMaxlen;

use super::cloud_event;
use crate::config::EventsConfig;
use crate::domain::event::OrderEvent;
use crate::redis_client::RedisClient;

/// A stream in Redis.
pub struct RedisStream {
    redis: RedisClient,
    stream: String,
    max_length: usize,
}

impl RedisStream {
    /// # Errors
    /// Returns an error if `events.max_length` does not fit into a `usize`.
    pub(super) fn new(redis: RedisClient, events: &EventsConfig) -> anyhow::Result<Self> {
        Ok(Self {
            redis,
            stream: events.stream.clone(),
            max_length: usize::try_from(events.max_length)?,
        })
    }

    /// Appends `events` to the stream, all in one round trip.
    ///
    /// # Errors
    /// Returns an error if Redis can't be reached or rejects the command; some may have been
    /// appended.
    pub(super) async fn publish(&self, events: &[OrderEvent]) -> anyhow::Result<()> {
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for event in events {
            let body = cloud_event::to_json(event)?;
            let trim = StreamMaxlen::Approx(self.max_length);
            pipeline.xadd_maxlen(&self.stream, trim, "*", &[("event", body)]);
        }
        let appended = self.redis.run("XADD", |mut connection| async move {
            pipeline.exec_async(&mut connection).await
        });
        Ok(appended.await?)
    }
}
