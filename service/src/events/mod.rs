//! Publishes order events as CloudEvents 1.0 in JSON.
//!
//! They go to a Redis Stream if Redis is configured, and otherwise to the log. Only [`Publisher`] knows which.

mod cloud_event;
pub(crate) mod payload;
mod redis_stream;

pub(crate) use redis_stream::RedisStream;

use crate::config::EventsConfig;
use crate::domain::event::OrderEvent;
use crate::redis_client::RedisClient;

/// Where events go.
pub enum Publisher {
    /// To a Redis Stream, for other programs.
    Redis(RedisStream),
    /// To the log, at level debug.
    Log,
}

impl Publisher {
    /// The stream if there is a Redis, else the log.
    ///
    /// # Errors
    /// Returns an error if `events.max_length` does not fit into a `usize`.
    pub fn new(redis: Option<RedisClient>, events: &EventsConfig) -> anyhow::Result<Self> {
        Ok(match redis {
            Some(redis) => Self::Redis(RedisStream::new(redis, events)?),
            None => Self::Log,
        })
    }

    /// Publishes `events` in their order. After an error, some of the first may
    /// have been published: publish all of them again.
    ///
    /// # Errors
    /// Returns an error if Redis did not store them.
    pub async fn publish(&self, events: &[OrderEvent]) -> anyhow::Result<()> {
        match self {
            Self::Redis(stream) => stream.publish(events).await,
            Self::Log => {
                for event in events {
                    tracing::debug!(kind = event.event_type, order_id = %event.order_id, "event published");
                }
                Ok(())
            }
        }
    }
}
