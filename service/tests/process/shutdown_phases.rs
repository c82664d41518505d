//! The phases of the end.

use std::process::Command;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use xtask::process::Signal;

use super::configured_service::ConfiguredService;
use crate::support::eventually::eventually;
use crate::support::raw_connection::RawConnection;

/// Phases that none of these tests waits out: what waits for them never ends in time.
const LONG: [(&str, &str); 7] = [
    ("http.request_timeout", "5m"),
    ("database.lock_timeout", "6m"),
    ("database.statement_timeout", "7m"),
    ("database.tcp_user_timeout", "8m"),
    ("shutdown.grace_period", "1h"),
    ("shutdown.drain_timeout", "10m"),
    ("shutdown.jobs_timeout", "10m"),
];

fn long_phases_with<'a>(settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    LONG.into_iter().chain(settings.iter().copied()).collect()
}

/// A request that is answered only after `release`.
async fn start_blocked_request(
    process: &ConfiguredService,
) -> (
    impl Future<Output = reqwest::Result<u16>> + use<>,
    diesel_async::AsyncPgConnection,
) {
    let mut conn = process.database.connect().await;
    conn.batch_execute("BEGIN; LOCK TABLE products")
        .await
        .unwrap();
    // A search: what is read for the cache is given up after `cache.load_timeout`.
    let url = format!("{}/v1/products?search=a", process.address);
    let request = process.client.get(url).send();
    let request = tokio::spawn(async move { Ok(request.await?.status().as_u16()) });
    eventually("the request is in flight", async || {
        (process.metric("orderly_requests_in_flight ").await == 1.0).then_some(())
    })
    .await;
    (async move { request.await.unwrap() }, conn)
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_delay_serves_requests_and_second_signal_exits() {
    let mut process = ConfiguredService::start(
        "delay",
        &long_phases_with(&[("shutdown.drain_delay", "10m")]),
    )
    .await;
    let before = process.get("/v1/products").await.unwrap();
    assert_eq!((before.status, before.header("connection")), (200, None));

    process.signal(Signal::TERM);
    assert_eq!(process.wait_until_not_ready().await, "shutting down");
    for path in ["/v1/products", "/no/such/path"] {
        let response = process.get(path).await.unwrap();
        assert_eq!(response.header("connection"), Some("close"), "{path}");
    }
    assert_eq!(process.get("/v1/products").await.unwrap().status, 200);
    assert_eq!(process.get_admin("/startupz").await.status, 200);
    assert_eq!(process.get_admin("/livez").await.status, 200);

    process.signal(Signal::INT);
    assert_eq!(process.exit_code().await, Some(130));
    process.wait_for_log("stopped at once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finishes_request_in_flight_and_refuses_connections() {
    let mut process = ConfiguredService::start("in-flight", &LONG).await;
    let (request, mut conn) = start_blocked_request(&process).await;
    process.signal(Signal::TERM);
    eventually("new connections are refused", async || {
        // Without the database, for this one may still come in time.
        let refused = process.get("/no/such/path").await.err()?;
        refused.is_connect().then_some(())
    })
    .await;
    assert_eq!(process.wait_until_not_ready().await, "shutting down");
    conn.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(request.await.unwrap(), 200);
    assert_eq!(process.exit_code().await, Some(0));
    for phase in ["drain_delay", "drain", "jobs", "pools"] {
        let ended =
            |line: &serde_json::Value| line["message"] == "phase ended" && line["phase"] == phase;
        assert!(process.has_logged(ended), "{phase}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_idle_connection_during_drain() {
    let mut process = ConfiguredService::start("idle", &LONG).await;
    let address = process.address.strip_prefix("http://").unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /v1/products HTTP/1.1\r\nhost: orderly\r\n\r\n")
        .await
        .unwrap();
    let mut response = [0; 12];
    idle.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");
    let _never_used = TcpStream::connect(address).await.unwrap();

    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, Some(0));
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_config_file_does_not_delay_shutdown() {
    let mut process = ConfiguredService::start("hangs", &LONG).await;
    // Whoever opens a pipe waits until somebody writes to it, as on a network disk that is away.
    let pipe = process.config.join(".env");
    let status = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    process
        .wait_for_log("reading the configuration again")
        .await;
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn phase_over_deadline_is_aborted_with_exit_code_3() {
    let mut process = ConfiguredService::start(
        "over",
        &long_phases_with(&[("shutdown.drain_timeout", "10ms")]),
    )
    .await;
    let (request, conn) = start_blocked_request(&process).await;
    process.signal(Signal::INT);
    assert_eq!(process.exit_code().await, Some(3));
    request.await.unwrap_err();
    assert!(process.has_logged(
        |line| line["phase"] == "drain" && line["message"] == "phase ran over its deadline"
    ));
    drop(conn);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_timeout_ends_drain_before_its_deadline() {
    let settings = long_phases_with(&[("http.write_timeout", "1s")]);
    let mut process = ConfiguredService::start("write-timeout", &settings).await;
    let address = process
        .address
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let mut unread = RawConnection::open_with_small_buffer(address).await;
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: orderly\r\n\r\n".repeat(1000);
    unread
        .send_repeatedly(Duration::from_millis(500), requests.as_bytes())
        .await;
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_only_waits_does_not_fail_drain() {
    let settings = long_phases_with(&[
        ("shutdown.drain_timeout", "2s"),
        ("http.write_timeout", "5m"),
    ]);
    let mut process = ConfiguredService::start("unread", &settings).await;
    let address = process
        .address
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let mut unread = RawConnection::open_with_small_buffer(address).await;
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: orderly\r\n\r\n".repeat(1000);
    let blocked = r#"orderly_http_connections{listener="api",state="response"} "#;
    let sending = unread.send_repeatedly(Duration::from_secs(30), requests.as_bytes());
    let observe = eventually("a response waits to be read", async || {
        (process.metric(blocked).await == 1.0).then_some(())
    });
    tokio::select! {
        () = observe => {}
        () = sending => panic!("the service took all requests"),
    }
    let mut half_head = RawConnection::open(address).await;
    half_head.send("GET /v1/products HTTP/1.1\r\nho").await;
    let mut half_body = RawConnection::open(address).await;
    half_body
        .send("POST /v1/users HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
        .await;
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code().await, Some(0));
}
