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
//! See it break: `replaces_silently_dead_redis_connection` in
//! `service/tests/api/storage/redis_connection.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{ConnectionInfo, IntoConnectionInfo as _, RedisResult, TlsCertificates};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::config::{RedisConfig, variable_name};
use crate::tls;

/// Connecting is tried this often before those who wait for it are told.
const CONNECT_ATTEMPTS: u32 = 2;

/// Where the connection is found; it is another one from time to time.
pub(super) struct RedisConnection {
    client: redis::Client,
    manager: ConnectionManagerConfig,
    unresponsive_limit: Duration,
    runtime: Handle,
    current: Mutex<Arc<ManagedConnection>>,
}

/// One connection, which redis-rs makes again when it breaks.
pub(crate) struct ManagedConnection {
    manager: ConnectionManager,
    /// When a command first went unanswered, if none was answered since.
    unresponsive_since: Mutex<Option<Instant>>,
}

impl RedisConnection {
    /// Connects later. `main` is the runtime on which it lives.
    ///
    /// # Errors
    /// If `url` is no Redis URL, or the CA certificate can't be read.
    pub(super) fn new(url: &str, config: &RedisConfig, main: Handle) -> anyhow::Result<Self> {
        let manager = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.response_timeout))
            .set_number_of_retries(CONNECT_ATTEMPTS as usize - 1)
            .set_min_delay(config.backoff_base)
            .set_max_delay(config.backoff_cap);
        let client = build_client(url, config)?;
        let line = ManagedConnection::new(&client, &manager, &main)?;
        // No shorter, or an attempt to connect that takes its time would never end well.
        let connecting = (config.connect_timeout + config.backoff_cap) * CONNECT_ATTEMPTS;
        Ok(Self {
            unresponsive_limit: connecting + config.response_timeout,
            client,
            manager,
            runtime: main,
            current: Mutex::new(Arc::new(line)),
        })
    }

    /// The connection of now.
    pub(super) fn current(&self) -> Arc<ManagedConnection> {
        lock(&self.current).clone()
    }

    /// Notes that a command on `line` was not answered in time.
    pub(super) fn record_timeout(&self, line: &Arc<ManagedConnection>) {
        let unresponsive_for = line.record_timeout();
        let mut current = lock(&self.current);
        if unresponsive_for < self.unresponsive_limit || !Arc::ptr_eq(&current, line) {
            return;
        }
        match ManagedConnection::new(&self.client, &self.manager, &self.runtime) {
            Ok(new) => {
                *current = Arc::new(new);
                let unresponsive_ms = unresponsive_for.as_millis();
                tracing::warn!(
                    unresponsive_ms,
                    "Redis answers nothing: its connection is left for a new one"
                );
            }
            Err(error) => tracing::warn!(%error, "Redis' connection can't be replaced"),
        }
    }
}

impl ManagedConnection {
    fn new(
        client: &redis::Client,
        config: &ConnectionManagerConfig,
        main: &Handle,
    ) -> RedisResult<Self> {
        // All who come while it connects wait for the same attempt, each as long as they
        // like: it may take longer than any of them waits.
        let _runtime_guard = main.enter();
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config.clone())?;
        Ok(Self {
            manager,
            unresponsive_since: Mutex::new(None),
        })
    }

    /// For commands.
    pub(super) fn manager(&self) -> ConnectionManager {
        self.manager.clone()
    }

    /// Notes that something came back.
    pub(super) fn record_response(&self) {
        *lock(&self.unresponsive_since) = None;
    }

    /// Notes that nothing did; since when not?
    fn record_timeout(&self) -> Duration {
        let mut since = lock(&self.unresponsive_since);
        since.get_or_insert_with(Instant::now).elapsed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn build_client(url: &str, config: &RedisConfig) -> anyhow::Result<redis::Client> {
    let server = || variable_name("redis.url");
    let address = connection_info(url, config).with_context(server)?;
    let Some(path) = &config.ca_certificate else {
        return redis::Client::open(address).with_context(server);
    };
    let variable = variable_name("redis.ca_certificate");
    let unusable = || format!("{variable}: {} can't be used", path.display());
    // The client itself would take an empty file, and trust nobody.
    tls::client::verifying_config(Some(path), &variable)?;
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(path).with_context(unusable)?),
    };
    redis::Client::build_with_tls(address, certificates).with_context(unusable)
}

fn connection_info(url: &str, config: &RedisConfig) -> RedisResult<ConnectionInfo> {
    let keepalive = TcpKeepalive::new().with_time(config.keepalive);
    let tcp = TcpSettings::default().set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(config.tcp_user_timeout);
    Ok(url.into_connection_info()?.set_tcp_settings(tcp))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_when_to_give_up() {
        let config = RedisConfig::default();
        let client = build_client("redis://localhost", &config).unwrap();
        let tcp = client.get_connection_info().tcp_settings();
        assert!(tcp.keepalive().is_some());
        #[cfg(target_os = "linux")]
        assert_eq!(tcp.user_timeout(), Some(config.tcp_user_timeout));
    }
}
