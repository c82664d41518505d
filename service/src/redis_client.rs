//! The connection to Redis: one, shared, behind a circuit breaker.
//!
//! Redis is optional: nothing may fail or hang because it does. So a command
//! waits no longer than `redis.response_timeout` and the request's deadline; when
//! too many fail or are slow the breaker opens, and callers are told at once to do
//! without ([`NoRedis`]), instead of waiting for a timeout each.
//!
//! Commands are multiplexed over one connection, which is made at the first use
//! and made again when it breaks, with bounded backoff. It must never be used for
//! a command that blocks (`XREAD BLOCK`): everybody else would wait behind it.
//! It lives on the main runtime, like every connection (see
//! [`crate::storage::database`]).
//!
//! See it break: the drills `redis_killed` and `redis_frozen`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use redis::TlsCertificates;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::config::{BreakerConfig, RedisConfig, variable};
use crate::resilience::breaker::{Breaker, BreakerState};
use crate::resilience::deadline;
use crate::telemetry::traces::sampled_span;
use crate::tls;

/// The client. Clones share the connection and the breaker.
#[derive(Clone)]
pub struct RedisClient(Arc<Shared>);

struct Shared {
    connection: ConnectionManager,
    timeout: Duration,
    breaker: Breaker,
    main: Handle,
}

/// Why there is no answer from Redis. Whatever it is: do without.
#[derive(Debug, thiserror::Error)]
pub enum NoRedis {
    /// It was not asked.
    #[error("the circuit breaker of Redis is open")]
    Refused,
    /// It did not answer in time.
    #[error("Redis did not answer in time")]
    TimedOut,
    /// It can't be reached, or it refused the command.
    #[error("Redis failed: {0}")]
    Failed(#[from] redis::RedisError),
}

impl NoRedis {
    /// One of few words.
    fn kind(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TimedOut => "timeout",
            Self::Failed(_) => "failed",
        }
    }
}

impl RedisClient {
    /// Names the server; connects later, so that the service starts without it.
    /// `main` is the runtime that outlives every server and job.
    ///
    /// # Errors
    /// If `url` is no Redis URL, or the CA certificate can't be read.
    pub fn new(
        url: &str,
        config: &RedisConfig,
        breaker: Breaker,
        main: Handle,
    ) -> anyhow::Result<Self> {
        let reconnect = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.response_timeout))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(100))
            .set_max_delay(Duration::from_secs(1));
        let client = client(url, config)?;
        // All who come while it connects wait for the same attempt, each as long as they
        // like: it may take longer than any of them waits.
        let on_main = main.enter();
        let connection = ConnectionManager::new_lazy_with_config(client, reconnect)?;
        drop(on_main);
        Ok(Self(Arc::new(Shared {
            connection,
            timeout: config.response_timeout,
            breaker,
            main,
        })))
    }

    /// Where the breaker stands.
    pub fn state(&self) -> BreakerState {
        self.0.breaker.state()
    }

    /// Uses other thresholds for the breaker from now on.
    pub fn reconfigure(&self, breaker: BreakerConfig) {
        self.0.breaker.reconfigure(breaker);
    }

    /// Runs `commands` on the connection. `name` is what the trace calls them: the
    /// command, such as `XADD`, and perhaps what for; no values.
    ///
    /// # Errors
    /// [`NoRedis`].
    pub async fn run<T, F>(
        &self,
        name: &'static str,
        commands: impl FnOnce(ConnectionManager) -> F + Send + 'static,
    ) -> Result<T, NoRedis>
    where
        F: Future<Output = redis::RedisResult<T>> + Send,
        T: Send + 'static,
    {
        self.run_within(name, self.0.timeout, commands).await
    }

    /// Runs `commands` for somebody who waits no longer than `patience`.
    ///
    /// # Errors
    /// [`NoRedis`].
    pub async fn run_within<T, F>(
        &self,
        name: &'static str,
        patience: Duration,
        commands: impl FnOnce(ConnectionManager) -> F + Send + 'static,
    ) -> Result<T, NoRedis>
    where
        F: Future<Output = redis::RedisResult<T>> + Send,
        T: Send + 'static,
    {
        let timeout = self.0.timeout.min(patience);
        let limit = deadline::bound(timeout).map_err(|_| NoRedis::TimedOut)?;
        let permit = self.0.breaker.try_acquire().map_err(|_| NoRedis::Refused)?;
        let connection = self.0.connection.clone();
        let exchange = async move { commands(connection).await };
        let task = AbortOnDropHandle::new(self.0.main.spawn(exchange));
        let span = sampled_span!(
            "redis",
            otel.kind = "client",
            otel.name = name,
            otel.status_code = Empty,
            db.system.name = "redis",
            db.operation.name = name.split(' ').next(),
            db.query.summary = name,
            error.type = Empty,
        );
        let waiting = tokio::time::timeout(limit, task).instrument(span.clone());
        let outcome = match waiting.await {
            Ok(Ok(answered)) => answered.map_err(NoRedis::from),
            Ok(Err(_)) | Err(_) => Err(NoRedis::TimedOut),
        };
        match &outcome {
            Ok(_) => permit.succeed(),
            Err(error) => {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", error.kind());
                match error {
                    // A client in a hurry is not Redis' fault.
                    NoRedis::TimedOut if limit < timeout => drop(permit),
                    _ => permit.fail(),
                }
            }
        }
        outcome
    }
}

fn client(url: &str, config: &RedisConfig) -> anyhow::Result<redis::Client> {
    let Some(path) = &config.ca_certificate else {
        return redis::Client::open(url).with_context(|| variable("redis.url"));
    };
    let variable = variable("redis.ca_certificate");
    let unusable = || format!("{variable}: {} can't be used", path.display());
    // The client itself would take an empty file, and trust nobody.
    tls::client::verifying(Some(path), &variable)?;
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(path).with_context(unusable)?),
    };
    redis::Client::build_with_tls(url, certificates).with_context(unusable)
}
