//! The connection to Redis, and when it is given up for a new one.
//!
//! redis-rs connects again when the kernel says that a connection is gone. But a
//! machine that loses its power or its network says no goodbye: the kernel sends again
//! and again, for a quarter of an hour if it is let, and all that time each command
//! only "took too long", which redis-rs takes for a slow server. Two things end that:
//!
//! - The kernel is told to be less patient: `redis.keepalive` for a connection on
//!   which nothing is under way, `redis.tcp_user_timeout` for one with unacknowledged
//!   commands.
//! - Whatever stands in between (a proxy, a NAT) may go on acknowledging for a Redis
//!   that is no more. So a connection on which nothing was answered for as long as
//!   connecting may take is left, and the next command makes a new one. A server that
//!   was merely frozen loses nothing by it.
//!
//! A connection that leads to the wrong server is replaced as well (`reply_class.rs`), at most
//! once per `redis.backoff_cap`.
//!
//! See it break: `replaces_silently_dead_redis_connection` in
//! `service/tests/api/storage/redis_connection.rs`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::RedisResult;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::client_builder::build_client;
use super::reply_class::{Reply, ReplyClass};
use crate::config::RedisConfig;
use crate::resilience::mutex::lock;

/// Connecting is tried this often before those who wait for it are told.
const CONNECT_ATTEMPTS: u32 = 2;

/// Where the connection is found; it is another one from time to time.
pub(super) struct RedisConnection {
    client: redis::Client,
    manager: ConnectionManagerConfig,
    unresponsive_limit: Duration,
    min_age: Duration,
    runtime: Handle,
    current: Mutex<Arc<ManagedConnection>>,
}

/// One connection, which redis-rs makes again when it breaks.
pub(super) struct ManagedConnection {
    manager: ConnectionManager,
    created_at: Instant,
    /// When a command first went unanswered, if none was answered since.
    unresponsive_since: Mutex<Option<Instant>>,
}

impl RedisConnection {
    /// Connects later. `runtime` is the one on which the connection lives.
    ///
    pub(super) fn new(url: &str, config: &RedisConfig, runtime: Handle) -> anyhow::Result<Self> {
        let manager = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.response_timeout))
            .set_number_of_retries(CONNECT_ATTEMPTS as usize - 1)
            .set_min_delay(config.backoff_base)
            .set_max_delay(config.backoff_cap);
        let client = build_client(url, config)?;
        let current = ManagedConnection::new(&client, &manager, &runtime)?;
        // No shorter, or an attempt to connect that takes its time would never end well.
        let max_connect_time = (config.connect_timeout + config.backoff_cap) * CONNECT_ATTEMPTS;
        Ok(Self {
            unresponsive_limit: max_connect_time + config.response_timeout,
            min_age: config.backoff_cap,
            client,
            manager,
            runtime,
            current: Mutex::new(Arc::new(current)),
        })
    }

    pub(super) fn current(&self) -> Arc<ManagedConnection> {
        lock(&self.current).clone()
    }

    /// Records that a command on `connection` was not answered in time.
    pub(super) fn record_timeout(&self, connection: &Arc<ManagedConnection>) {
        let unresponsive_for = connection.record_timeout();
        if unresponsive_for >= self.unresponsive_limit && self.replace(connection) {
            let unresponsive_ms = unresponsive_for.as_millis();
            tracing::warn!(
                unresponsive_ms,
                "Redis answers nothing: its connection is left for a new one"
            );
        }
    }

    /// Replaces a connection on which the server has sent that reply, unless it is a new one.
    pub(super) fn discard(&self, connection: &Arc<ManagedConnection>, reply: &Reply) {
        if connection.created_at.elapsed() < self.min_age || !self.replace(connection) {
            return;
        }
        let (code, reason) = (&reply.code, reply.to_string());
        match reply.class {
            ReplyClass::Unauthorized => tracing::error!(code, reason, "Redis access denied"),
            _ => tracing::warn!(code, reason, "Redis connection discarded"),
        }
    }

    /// Returns `true` if the connection was the current one and there is a new one now.
    fn replace(&self, connection: &Arc<ManagedConnection>) -> bool {
        let mut current = lock(&self.current);
        if !Arc::ptr_eq(&current, connection) {
            return false;
        }
        match ManagedConnection::new(&self.client, &self.manager, &self.runtime) {
            Ok(replacement) => {
                *current = Arc::new(replacement);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "Redis' connection can't be replaced");
                false
            }
        }
    }
}

impl ManagedConnection {
    fn new(
        client: &redis::Client,
        config: &ConnectionManagerConfig,
        runtime: &Handle,
    ) -> RedisResult<Self> {
        // All who come while it connects wait for the same attempt, each as long as they
        // like: it may take longer than any of them waits.
        let _runtime_guard = runtime.enter();
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config.clone())?;
        Ok(Self {
            manager,
            created_at: Instant::now(),
            unresponsive_since: Mutex::new(None),
        })
    }

    pub(super) fn manager(&self) -> ConnectionManager {
        self.manager.clone()
    }

    /// Records that a response came.
    pub(super) fn record_response(&self) {
        *lock(&self.unresponsive_since) = None;
    }

    /// Records a timeout, and returns for how long no response has come.
    fn record_timeout(&self) -> Duration {
        let mut since = lock(&self.unresponsive_since);
        since.get_or_insert_with(Instant::now).elapsed()
    }
}
