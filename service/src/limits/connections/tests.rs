use std::task::Waker;

use tokio::time::{advance, sleep};

use super::*;
use crate::config::RateLimitConfig;
use crate::telemetry::metrics::Metrics;

fn connections(change: impl FnOnce(&mut HttpConfig)) -> (Connections, Metrics) {
    let mut http = HttpConfig {
        max_connections: 10,
        max_connections_per_client: 10,
        ..HttpConfig::default()
    };
    change(&mut http);
    let metrics = Metrics::new().unwrap();
    let limits = RateLimitConfig {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..RateLimitConfig::default()
    };
    let limits = RateLimits::new(limits, None, metrics.rate_limits.clone());
    let connections = Connections::new(
        "api",
        &http,
        limits,
        metrics.connections.clone(),
        &metrics.registry,
    );
    (connections, metrics)
}

fn peer(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 1)
}

fn admit(connections: &Connections, address: &str) -> Result<Connection, ConnectionLimit> {
    connections.admit(peer(address))
}

fn admit_all(connections: &Connections, addresses: &[&str]) -> Vec<Connection> {
    let admitted = addresses.iter().map(|it| admit(connections, it).unwrap());
    admitted.collect()
}

fn must_close(connection: &Connection) -> bool {
    connection.must_close(Waker::noop())
}

#[tokio::test(start_paused = true)]
async fn rejects_connection_over_share_of_client_only() {
    let (connections, metrics) = connections(|http| http.max_connections_per_client = 2);
    let mut first = admit_all(&connections, &["192.0.2.1", "192.0.2.1"]);
    assert_eq!(
        admit(&connections, "192.0.2.1").err(),
        Some(ConnectionLimit::Client)
    );
    assert_eq!(
        admit(&connections, "::ffff:192.0.2.1").err(),
        Some(ConnectionLimit::Client)
    );
    let _other = admit(&connections, "192.0.2.2").unwrap();
    first.pop();
    let _again = admit(&connections, "192.0.2.1").unwrap();
    let rejected = &metrics.connections.http_connections_rejected;
    assert_eq!(rejected.with_label_values(&["api", "client"]).get(), 2);
}

#[tokio::test(start_paused = true)]
async fn wider_ipv6_networks_have_larger_shares() {
    let (connections, _) = connections(|http| http.max_connections_per_client = 1);
    let is_full = |address| admit(&connections, address).err() == Some(ConnectionLimit::Client);
    let _one = admit(&connections, "2001:db8:0:1::1").unwrap();
    assert!(is_full("2001:db8:0:1::2"), "the /64");
    let _two = admit(&connections, "2001:db8:0:2::1").unwrap();
    assert!(is_full("2001:db8:0:3::1"), "the /56");
    let _three = admit(&connections, "2001:db8:0:100::1").unwrap();
    assert!(is_full("2001:db8:0:200::1"), "the /48");
    let _other_site = admit(&connections, "2001:db8:1::1").unwrap();
}

#[tokio::test(start_paused = true)]
async fn trusted_proxy_has_no_share() {
    let (connections, _) = connections(|http| http.max_connections_per_client = 1);
    let _both = admit_all(&connections, &["10.1.2.3", "10.1.2.3"]);
}

#[tokio::test(start_paused = true)]
async fn closes_oldest_idle_connection_above_threshold() {
    let (connections, _) = connections(|_| {});
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(admit(&connections, "192.0.2.1").unwrap());
        advance(Duration::from_millis(1)).await;
    }
    for index in [3, 1, 5] {
        open[index].enter(ConnectionState::Idle);
        advance(Duration::from_millis(1)).await;
    }
    assert!(!open.iter().any(must_close), "80 % are in use");
    open.push(admit(&connections, "192.0.2.1").unwrap());
    assert!(must_close(&open[3]), "the oldest idle one");
    assert_eq!(open.iter().filter(|it| must_close(it)).count(), 1);
    // A request that arrived first keeps its connection.
    open[3].enter(ConnectionState::Request);
    assert!(!must_close(&open[3]));
}

#[tokio::test(start_paused = true)]
async fn new_connection_replaces_oldest_partial_head_at_limit() {
    let (connections, metrics) = connections(|_| {});
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(admit(&connections, "192.0.2.1").unwrap());
        advance(Duration::from_millis(1)).await;
    }
    assert!(!open.iter().any(must_close));
    open.push(admit(&connections, "192.0.2.2").unwrap());
    assert!(must_close(&open[0]));
    for connection in &open {
        connection.enter(ConnectionState::Request);
    }
    assert_eq!(
        admit(&connections, "192.0.2.2").err(),
        Some(ConnectionLimit::Total)
    );
    let rejected = &metrics.connections.http_connections_rejected;
    assert_eq!(rejected.with_label_values(&["api", "total"]).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_state_that_waits_for_client_has_deadline() {
    let (connections, _) = connections(|http| {
        http.keep_alive = Duration::from_secs(75);
        http.request_head_timeout = Duration::from_secs(5);
        http.write_timeout = Duration::from_secs(10);
    });
    let sweeper = tokio::spawn(connections.clone().enforce_deadlines());
    let connection = admit(&connections, "192.0.2.1").unwrap();
    for (state, seconds) in [
        (ConnectionState::Idle, Some(75)),
        (ConnectionState::Head, Some(5)),
        (ConnectionState::Response, Some(10)),
        (ConnectionState::Body, None),
        (ConnectionState::Request, None),
    ] {
        connection.enter(state);
        sleep(Duration::from_secs(seconds.unwrap_or(3600)) - SWEEP_INTERVAL).await;
        assert!(!must_close(&connection), "{state:?}: too early");
        sleep(2 * SWEEP_INTERVAL).await;
        assert_eq!(must_close(&connection), seconds.is_some(), "{state:?}");
    }
    sweeper.abort();
}

#[tokio::test(start_paused = true)]
async fn drain_closes_idle_connections_only() {
    let (connections, _) = connections(|_| {});
    let sweeper = tokio::spawn(connections.clone().enforce_deadlines());
    let open = admit_all(&connections, &["192.0.2.1", "192.0.2.1"]);
    open[0].enter(ConnectionState::Idle);
    open[1].enter(ConnectionState::Request);
    connections.start_draining();
    sleep(IDLE_WHILE_DRAINING + 2 * SWEEP_INTERVAL).await;
    assert!(must_close(&open[0]));
    assert!(!must_close(&open[1]));
    assert_eq!(connections.being_handled(), 1);
    sweeper.abort();
}

#[tokio::test(start_paused = true)]
async fn rejected_head_stays_in_share_for_a_minute() {
    let (connections, metrics) = connections(|http| http.max_connections_per_client = 2);
    let sweeper = tokio::spawn(connections.clone().enforce_deadlines());
    for _ in 0..2 {
        let connection = admit(&connections, "192.0.2.1").unwrap();
        connection.record_rejected_head(RejectedHead::Malformed, 400);
    }
    assert_eq!(connections.usage().0, 0);
    assert_eq!(
        admit(&connections, "192.0.2.1").err(),
        Some(ConnectionLimit::Client)
    );
    drop(admit(&connections, "192.0.2.2").unwrap());
    sleep(REJECTED_HEAD_PENALTY + 2 * SWEEP_INTERVAL).await;
    drop(admit(&connections, "192.0.2.1").unwrap());
    let rejected = &metrics.connections.http_rejected_heads;
    assert_eq!(rejected.with_label_values(&["api", "malformed"]).get(), 2);
    sweeper.abort();
}

#[tokio::test(start_paused = true)]
async fn metrics_count_connections_by_state() {
    let (connections, metrics) = connections(|_| {});
    let open = admit_all(&connections, &["192.0.2.1", "192.0.2.1", "192.0.2.1"]);
    open[0].enter(ConnectionState::Idle);
    metrics.registry.gather();
    let count = |state| {
        let gauge = &metrics.connections.http_connections;
        gauge.with_label_values(&["api", state]).get()
    };
    let states = ["idle", "head", "body", "request", "response"];
    assert_eq!(states.map(count), [1, 2, 0, 0, 0]);
}
