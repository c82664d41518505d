//! Limits on the connections of a listener: in total, for each client, and in time.
//!
//! # Problem
//! A connection costs a client nothing to keep. One that sends half a request head, one that does not read its response
//! and one that sends nothing at all each occupy a place for as long as the server allows. A client with as many
//! connections as the service accepts locks all others out, and every probe is still green.
//!
//! # How it works
//! [`Connections::admit`] counts each connection of a listener against its client's networks
//! ([`client_networks`]) and against the total. Over a limit, it rejects the newcomer. Before that, it makes room:
//!
//! - Above 80 % of `http.max_connections`, the connections that are idle for the longest time are closed.
//! - At the limit, so are those that have waited for the longest time for the rest of a request head.
//!
//! Each connection reports its [`ConnectionState`] with a few atomic stores, and each state that waits for the client
//! has a deadline. [`Connections::enforce_deadlines`] closes the connections whose deadline is over. One task does that
//! for all of them, since a timer for each would be moved several times during each request.
//!
//! A request head that the service rejects keeps its connection's place in the client's share for a minute after the
//! connection was closed. So a client has one budget, and spends it on connections or on malformed requests.
//!
//! # Pitfalls
//! A load balancer carries the connections of many clients. Peers in `rate_limit.trusted_proxies` have no share of their
//! own and are limited by the total alone.
//!
//! # Tests
//! The tests below, `tests/api/http/connections.rs`, and the drills `slow_heads` and `connections_of_one_client`.

mod connection;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

pub(crate) use connection::{Connection, ConnectionState};

use super::RateLimits;
use super::network::client_networks;
use crate::config::HttpConfig;
use crate::resilience::mutex::lock;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::{ConnectionMetrics, MetricRegistry};
use table::Table;

/// Time between two looks for connections whose deadline is over.
const SWEEP_INTERVAL: Duration = Duration::from_millis(50);

/// Time for which a rejected request head stays in its client's share.
const REJECTED_HEAD_PENALTY: Duration = Duration::from_mins(1);

/// Time that an idle connection keeps during a drain: its last response may still be on the way.
const IDLE_WHILE_DRAINING: Duration = Duration::from_secs(1);

/// A limit that a new connection would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionLimit {
    /// `http.max_connections`
    Total,
    /// `http.max_connections_per_client`
    Client,
}

impl ConnectionLimit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Client => "client",
        }
    }
}

/// A reason to reject a request head before it is a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectedHead {
    /// The head breaks the rules of HTTP.
    Malformed,
    /// The head is larger than the parser's buffer.
    TooLarge,
    /// The head did not arrive in time.
    Timeout,
}

impl RejectedHead {
    fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
        }
    }
}

/// The connections of one listener. Clones share them.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Inner>);

struct Inner {
    /// `api` or `admin`.
    listener: &'static str,
    limits: Limits,
    rate_limits: RateLimits,
    table: Mutex<Table>,
    is_draining: AtomicBool,
    started_at: Instant,
    metrics: ConnectionMetrics,
    rejected_connections: [LogThrottle; 2],
    rejected_heads: [LogThrottle; 3],
}

/// What `http.*` sets.
#[derive(Clone)]
struct Limits {
    total: usize,
    per_client: usize,
    keep_alive: Duration,
    head_timeout: Duration,
    write_timeout: Duration,
}

impl Connections {
    /// Creates the connections of `listener`: none.
    pub(crate) fn new(
        listener: &'static str,
        http: &HttpConfig,
        rate_limits: RateLimits,
        metrics: ConnectionMetrics,
        registry: &MetricRegistry,
    ) -> Self {
        let limits = Limits {
            total: http.max_connections,
            per_client: http.max_connections_per_client,
            keep_alive: http.keep_alive,
            head_timeout: http.request_head_timeout,
            write_timeout: http.write_timeout,
        };
        (metrics
            .http_connections_limit
            .with_label_values(&[listener]))
        .set(i64::try_from(limits.total).unwrap_or(i64::MAX));
        let connections = Self(Arc::new(Inner {
            listener,
            limits,
            rate_limits,
            table: Mutex::default(),
            is_draining: AtomicBool::new(false),
            started_at: Instant::now(),
            metrics,
            rejected_connections: Default::default(),
            rejected_heads: Default::default(),
        }));
        let observed = connections.clone();
        registry.before_scrape(move || observed.update_metrics());
        connections
    }

    /// Counts a new connection, which is in [`ConnectionState::Head`] from now on.
    ///
    /// # Errors
    /// Returns the limit that the connection would exceed; it was counted as rejected.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Result<Connection, ConnectionLimit> {
        let Inner { limits, .. } = &*self.0;
        let networks = match self.is_trusted_proxy(peer.ip()) {
            true => Vec::new(),
            false => client_networks(peer.ip()).collect(),
        };
        let admitted = lock(&self.0.table).admit(&networks, limits.total, limits.per_client);
        match admitted {
            Ok((id, shared)) => {
                let connection = Connection::new(self.clone(), id, shared, peer, networks);
                connection.enter(ConnectionState::Head);
                Ok(connection)
            }
            Err(limit) => {
                self.record_rejected_connection(limit, peer);
                Err(limit)
            }
        }
    }

    /// Returns the number of connections, and the limit.
    pub(crate) fn usage(&self) -> (usize, usize) {
        (lock(&self.0.table).len(), self.0.limits.total)
    }

    /// Returns the number of connections whose request is being handled, so that they do not wait for their client.
    pub(crate) fn being_handled(&self) -> usize {
        lock(&self.0.table).count(ConnectionState::Request)
    }

    /// Gives idle connections a second from now on. HTTP/1.1 connections are closed sooner by the server; this ends
    /// those of HTTP/2.
    pub(crate) fn start_draining(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    /// Closes connections whose deadline is over, for as long as this runs.
    pub(crate) async fn enforce_deadlines(self) {
        let mut ticks = interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sweep();
        }
    }

    fn sweep(&self) {
        let limits = &self.0.limits;
        let idle_time = match self.0.is_draining.load(Ordering::Relaxed) {
            true => limits.keep_alive.min(IDLE_WHILE_DRAINING),
            false => limits.keep_alive,
        };
        lock(&self.0.table).sweep(self.now_ms(), |state| match state {
            ConnectionState::Idle => Some(as_ms(idle_time)),
            ConnectionState::Head => Some(as_ms(limits.head_timeout)),
            ConnectionState::Response => Some(as_ms(limits.write_timeout)),
            ConnectionState::Body | ConnectionState::Request => None,
        });
    }

    fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        let config = self.0.rate_limits.config();
        (config.trusted_proxies.iter()).any(|proxy| proxy.contains(peer))
    }

    fn record_rejected_connection(&self, limit: ConnectionLimit, peer: SocketAddr) {
        let Inner {
            listener, metrics, ..
        } = &*self.0;
        let reason = limit.as_str();
        (metrics.http_connections_rejected)
            .with_label_values(&[listener, reason])
            .inc();
        if let Some(suppressed) = self.0.rejected_connections[limit as usize].next() {
            tracing::warn!(listener, reason, %peer, suppressed, "connection rejected");
        }
    }

    fn record_rejected_head(&self, reason: RejectedHead, status: u16, peer: SocketAddr) {
        let Inner {
            listener, metrics, ..
        } = &*self.0;
        let throttle = &self.0.rejected_heads[reason as usize];
        let reason = reason.as_str();
        (metrics.http_rejected_heads)
            .with_label_values(&[listener, reason])
            .inc();
        if let Some(suppressed) = throttle.next() {
            tracing::warn!(listener, status, reason, %peer, suppressed, "request head rejected");
        }
    }

    fn update_metrics(&self) {
        let counts = lock(&self.0.table).count_states();
        for (state, count) in ConnectionState::ALL.into_iter().zip(counts) {
            let labels = [self.0.listener, state.as_str()];
            (self.0.metrics.http_connections)
                .with_label_values(&labels)
                .set(count);
        }
    }

    fn now_ms(&self) -> u64 {
        as_ms(self.0.started_at.elapsed())
    }
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
