//! Telling the rest of the world what happened to orders.
//!
//! Events are CloudEvents 1.0 in JSON. They go to a Redis Stream when Redis is
//! configured, else to a bus inside the process. Which one it is, only
//! [`Publisher`] knows.

pub mod bus;
pub mod cloud_event;
pub mod payload;
mod redis_stream;

use anyhow::Context as _;

pub use bus::InProcessBus;
pub use redis_stream::RedisStream;

use crate::config::{EventsConfig, RedisConfig};
use crate::domain::event::OrderEvent;

/// Where events go.
pub enum Publisher {
    /// To a Redis Stream, for other programs.
    Redis(Box<RedisStream>),
    /// To whoever listens in this process.
    InProcess(InProcessBus),
}

impl Publisher {
    /// The stream, if Redis is configured, else the bus.
    ///
    /// # Errors
    /// If the Redis URL can't be used; the message does not repeat it.
    pub fn new(redis: &RedisConfig, events: &EventsConfig) -> anyhow::Result<Self> {
        match &redis.url {
            Some(url) => Ok(Self::Redis(Box::new(
                RedisStream::new(url.expose(), redis, events)
                    .context("ORDERLY__REDIS__URL can't be used")?,
            ))),
            None => Ok(Self::InProcess(InProcessBus::default())),
        }
    }

    /// Publishes `events` in their order. After an error, some of the first may
    /// have been published: publish all of them again.
    ///
    /// # Errors
    /// If Redis did not take them.
    pub async fn publish(&self, events: &[OrderEvent]) -> anyhow::Result<()> {
        match self {
            Self::Redis(stream) => stream.publish(events).await,
            Self::InProcess(bus) => {
                bus.publish(events);
                Ok(())
            }
        }
    }
}
