//! The connection to Redis: one, shared, behind a circuit breaker.
//!
//! Redis is optional: nothing may fail or hang because it does. So a command
//! waits no longer than `redis.response_timeout` and the request's deadline; when
//! too many fail or are slow the breaker opens, and callers are told at once to do
//! without ([`RedisClientError`]), instead of waiting for a timeout each.
//!
//! Commands are multiplexed over one connection, which is made at the first use
//! and made again when it breaks or falls silent (`connection.rs`), with bounded
//! backoff. It must never be used for a command that blocks (`XREAD BLOCK`):
//! everybody else would wait behind it. It lives on the main runtime, like every
//! connection (see [`crate::storage::database`]).
//!
//! An error reply proves that a server responded, not that it is the right server:
//! `reply_class.rs` decides about the connection and the breaker.
//!
//! See it break: the drills `redis_killed` and `redis_frozen`.

mod client_builder;
mod connection;
mod reply_class;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prometheus::HistogramVec;
use redis::aio::ConnectionManager;
use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use tracing::field::Empty;

use self::connection::RedisConnection;
use self::reply_class::{Reply, classify};
use crate::config::{BreakerConfig, RedisConfig};
use crate::resilience::breaker::{Breaker, BreakerState};
use crate::resilience::deadline;
use crate::telemetry::sampled_span::sampled_span;

/// The client. Clones share the connection and the breaker.
#[derive(Clone)]
pub struct RedisClient(Arc<Inner>);

struct Inner {
    connection: RedisConnection,
    timeout: Duration,
    breaker: Breaker,
    latency: HistogramVec,
    runtime: Handle,
}

/// Why there is no answer from Redis. Whatever it is: do without.
#[derive(Debug, thiserror::Error)]
pub enum RedisClientError {
    /// It was not asked.
    #[error("the circuit breaker of Redis is open")]
    CircuitOpen,
    /// It did not answer in time.
    #[error("Redis did not answer in time")]
    TimedOut,
    /// It can't be reached, or it rejected the command.
    #[error("Redis failed: {}", describe(.0))]
    Failed(#[from] redis::RedisError),
    /// The call panicked, or its runtime ended.
    #[error("the call of Redis was interrupted: {0}")]
    Interrupted(JoinError),
}

/// Returns the text of an error, after its meaning for an operator if it is a reply.
fn describe(error: &redis::RedisError) -> String {
    match classify(error) {
        Some(reply) => format!("{reply}: {error}"),
        None => error.to_string(),
    }
}

impl RedisClientError {
    /// One of few words.
    fn error_type(&self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::TimedOut => "timeout",
            Self::Failed(_) => self.reply().map_or("failed", |reply| reply.class.as_str()),
            Self::Interrupted(_) => "interrupted",
        }
    }

    /// Returns the reply that the server sent, if there is one.
    fn reply(&self) -> Option<Reply> {
        match self {
            Self::Failed(error) => classify(error),
            Self::CircuitOpen | Self::TimedOut | Self::Interrupted(_) => None,
        }
    }

    /// Whether nothing came back, not even bad news.
    fn is_timeout(&self) -> bool {
        match self {
            Self::CircuitOpen | Self::Interrupted(_) => false,
            Self::TimedOut => true,
            Self::Failed(error) => error.is_timeout(),
        }
    }
}

impl RedisClient {
    /// Names the server; connects later, so that the service starts without it.
    /// `latency` is `orderly_redis_command_duration_seconds{command}`, and `runtime` the
    /// one that outlives every server and job.
    ///
    /// # Errors
    /// Returns an error if `url` is no Redis URL, or if the CA certificate can't be read.
    pub fn new(
        url: &str,
        config: &RedisConfig,
        breaker: Breaker,
        latency: HistogramVec,
        runtime: Handle,
    ) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Inner {
            connection: RedisConnection::new(url, config, runtime.clone())?,
            timeout: config.response_timeout,
            breaker,
            latency,
            runtime,
        })))
    }

    /// Where the breaker stands.
    pub(crate) fn breaker_state(&self) -> BreakerState {
        self.0.breaker.state()
    }

    /// Uses other thresholds for the breaker from now on.
    pub(crate) fn reconfigure(&self, breaker: BreakerConfig) {
        self.0.breaker.reconfigure(breaker);
    }

    /// Runs `commands` on the connection. `name` is what the trace calls them: the
    /// command, such as `XADD`, and perhaps what for; no values.
    ///
    /// # Errors
    /// Returns [`RedisClientError`] if the breaker is open, if no response comes within
    /// `redis.response_timeout` and the deadline, or if the connection or a command fails.
    pub async fn run<T, F>(
        &self,
        name: &'static str,
        commands: impl FnOnce(ConnectionManager) -> F + Send + 'static,
    ) -> Result<T, RedisClientError>
    where
        F: Future<Output = redis::RedisResult<T>> + Send,
        T: Send + 'static,
    {
        self.run_with_timeout(name, self.0.timeout, commands).await
    }

    /// Runs `commands` for a caller that waits no longer than `max_wait`.
    ///
    /// # Errors
    /// As [`run`](Self::run), and if no response comes within `max_wait`.
    pub(crate) async fn run_with_timeout<T, F>(
        &self,
        name: &'static str,
        max_wait: Duration,
        commands: impl FnOnce(ConnectionManager) -> F + Send + 'static,
    ) -> Result<T, RedisClientError>
    where
        F: Future<Output = redis::RedisResult<T>> + Send,
        T: Send + 'static,
    {
        let timeout = self.0.timeout.min(max_wait);
        let limit = deadline::bounded_timeout(timeout).map_err(|_| RedisClientError::TimedOut)?;
        let permit = self
            .0
            .breaker
            .try_acquire()
            .map_err(|_| RedisClientError::CircuitOpen)?;
        let connection = self.0.connection.current();
        let manager = connection.manager();
        let execute = async move { commands(manager).await };
        let task = AbortOnDropHandle::new(self.0.runtime.spawn(execute));
        let command = name.split(' ').next().unwrap_or(name);
        let span = sampled_span!(
            "redis",
            otel.kind = "client",
            otel.name = name,
            otel.status_code = Empty,
            db.system.name = "redis",
            db.operation.name = command,
            db.query.summary = name,
            error.type = Empty,
        );
        let response = tokio::time::timeout(limit, task).instrument(span.clone());
        let result = {
            let _timer = self.0.latency.with_label_values(&[command]).start_timer();
            response.await
        };
        let outcome = match result {
            Ok(Ok(response)) => response.map_err(RedisClientError::from),
            Ok(Err(error)) => Err(RedisClientError::Interrupted(error)),
            Err(_) => Err(RedisClientError::TimedOut),
        };
        let reply = outcome.as_ref().err().and_then(RedisClientError::reply);
        match &outcome {
            Err(error) if error.is_timeout() => self.0.connection.record_timeout(&connection),
            Err(RedisClientError::Interrupted(_)) => {}
            _ => connection.record_response(),
        }
        if let Some(reply) = &reply
            && reply.class.replaces_connection()
        {
            self.0.connection.discard(&connection, reply);
        }
        match &outcome {
            Ok(_) => permit.succeed(),
            Err(error) => {
                span.record("error.type", error.error_type());
                match error {
                    // A client in a hurry is not Redis' fault, and neither is a panic.
                    RedisClientError::TimedOut if limit < timeout => drop(permit),
                    _ => {
                        span.record("otel.status_code", "ERROR");
                        match &reply {
                            Some(reply) if !reply.class.is_failure() => permit.succeed(),
                            _ if matches!(error, RedisClientError::Interrupted(_)) => drop(permit),
                            _ => permit.fail(),
                        }
                    }
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    #[tokio::test]
    async fn panic_is_neither_timeout_nor_failure_of_redis() {
        let opens_immediately = BreakerConfig {
            minimum_calls: 1,
            ..BreakerConfig::default()
        };
        let metrics = Metrics::new().unwrap();
        let breaker = Breaker::new("redis", opens_immediately, metrics.breakers);
        let latency = metrics.dependencies.redis_command_duration;
        let (url, config) = ("redis://127.0.0.1:1/", RedisConfig::default());
        let client = RedisClient::new(url, &config, breaker, latency, Handle::current()).unwrap();
        let panicked = client.run("PING", |_| async { panic!("a bug") }).await;
        let result: Result<(), _> = panicked;
        assert!(
            matches!(result, Err(RedisClientError::Interrupted(_))),
            "{result:?}"
        );
        assert_eq!(client.breaker_state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_by_deadline_is_no_failure_of_redis() {
        // Connections are made, and nothing is ever answered.
        let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://{}/", silent.local_addr().unwrap());
        let opens_immediately = BreakerConfig {
            minimum_calls: 1,
            ..BreakerConfig::default()
        };
        let metrics = Metrics::new().unwrap();
        let breaker = Breaker::new("redis", opens_immediately, metrics.breakers);
        let config = RedisConfig::default();
        let latency = metrics.dependencies.redis_command_duration;
        let ping_latency = latency.with_label_values(&["PING"]);
        let client = RedisClient::new(&url, &config, breaker, latency, Handle::current()).unwrap();
        let ping = || {
            client.run("PING", |mut connection| async move {
                redis::cmd("PING").query_async::<()>(&mut connection).await
            })
        };

        let (began, limit) = (Instant::now(), Duration::from_millis(100));
        let bounded = deadline::with_unenforced_deadline(began + limit, ping()).await;
        assert!(
            matches!(bounded, Err(RedisClientError::TimedOut)),
            "{bounded:?}"
        );
        assert_eq!(began.elapsed().as_millis(), limit.as_millis());
        assert_eq!(client.breaker_state(), BreakerState::Closed);

        let timed_out = ping().await;
        assert!(
            matches!(timed_out, Err(RedisClientError::TimedOut)),
            "{timed_out:?}"
        );
        assert_eq!(client.breaker_state(), BreakerState::Open);
        let rejected = ping().await;
        assert!(
            matches!(rejected, Err(RedisClientError::CircuitOpen)),
            "{rejected:?}"
        );
        assert_eq!(ping_latency.get_sample_count(), 2, "those that were asked");
    }
}
