//! Telling the rest of the world what happened to orders.
//!
//! Events are CloudEvents 1.0 in JSON. They go to a Redis Stream when Redis is
//! configured, else to a bus inside the process. Which one it is, only
//! [`Publisher`] knows.

pub(crate) mod bus;
pub(crate) mod cloud_event;
pub(crate) mod payload;
mod redis_stream;

pub(crate) use bus::InProcessBus;
pub(crate) use redis_stream::RedisStream;

use crate::config::EventsConfig;
use crate::domain::event::OrderEvent;
use crate::redis_client::RedisClient;

/// Where events go.
pub enum Publisher {
    /// To a Redis Stream, for other programs.
    Redis(RedisStream),
    /// To whoever listens in this process.
    InProcess(InProcessBus),
}

impl Publisher {
    /// The stream, if there is a Redis, else the bus.
    ///
    /// # Errors
    /// If the settings of the stream can't be used.
    pub fn new(redis: Option<RedisClient>, events: &EventsConfig) -> anyhow::Result<Self> {
        Ok(match redis {
            Some(redis) => Self::Redis(RedisStream::new(redis, events)?),
            None => Self::InProcess(InProcessBus::default()),
        })
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
