//! Told to stop: what was begun is ended, nothing new is taken, and the exit code is 0.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::app::send;
use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::process::Orderly;
use crate::support::served::{Served, gateway, seeded_database};
use crate::support::sql::Locked;

/// Longer than any wait in a test, so that only one that never ends reaches it.
const FOREVER: &str = "10m";

/// Far less than [`FOREVER`], and far more than a stop takes.
const SOON: Duration = Duration::from_secs(25);

fn patient(database: &TestDatabase) -> Orderly {
    Orderly::on(database)
        .set("ORDERLY__SHUTDOWN__GRACE_PERIOD", "1h")
        .set("ORDERLY__SHUTDOWN__DRAIN_TIMEOUT", FOREVER)
        .set("ORDERLY__SHUTDOWN__JOBS_TIMEOUT", FOREVER)
        .set("ORDERLY__HTTP__REQUEST_TIMEOUT", "5m")
        .set("ORDERLY__DATABASE__STATEMENT_TIMEOUT", "6m")
        .set("ORDERLY__DATABASE__TCP_USER_TIMEOUT", "7m")
        .set("ORDERLY__DATABASE__LOCK_TIMEOUT", "4m")
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_requests_and_rejects_new_ones() {
    stops_cleanly_under_load("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_finishes_requests_and_rejects_new_ones() {
    stops_cleanly_under_load("INT").await;
}

async fn stops_cleanly_under_load(signal: &str) {
    let database = seeded_database().await;
    let (_gateway, gateway_url) = gateway(&Orderly::new(), &[]).await;
    let orderly = patient(&database).set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway_url);
    let served = Served::start(&orderly).await;
    let token = served.customer().await;
    let product = served.product().await;
    let held = lock(&database, &product).await;
    let in_flight: Vec<_> = (0..4)
        .map(|_| tokio::spawn(send(served.order_request(&token, &product), "")))
        .collect();
    database.sessions_wait_for_a_lock(4).await;

    served.process.signal(signal);
    let address = served.url.trim_start_matches("http://").to_owned();
    eventually("new connections are refused", async || {
        TcpStream::connect(&address).err().map(drop)
    })
    .await;
    // Not ready, and still there: a probe must see the difference.
    let probe = Orderly::new().set("ORDERLY__ADMIN__PORT", &served.admin_port.to_string());
    let message = probe.fail(1, &["healthcheck"]).await;
    assert!(message.contains("shutting down"), "{message}");

    held.release().await;
    for answer in in_flight {
        answer.await.unwrap().expect(201);
    }
    let log = served.stopped().await;
    let of = |message: &'static str| log.iter().filter(move |line| line["message"] == message);
    let phases: Vec<_> = of("phase ended").map(|line| &line["phase"]).collect();
    assert_eq!(phases, ["drain_delay", "drain", "jobs", "pools"], "{log:?}");
    for line in of("phase ended") {
        assert!(line["duration_ms"].is_u64(), "{line}");
    }
    // The first has none: it always takes its time.
    let deadlines: Vec<_> = of("shutting down")
        .map(|line| line.get("deadline_ms").and_then(Value::as_u64))
        .collect();
    let [drain_delay, drain, jobs, pools] = deadlines[..] else {
        panic!("{log:?}")
    };
    assert_eq!(
        (drain_delay, drain, jobs),
        (None, Some(600_000), Some(600_000))
    );
    assert!(pools.is_some(), "{log:?}");

    let sessions = "pg_stat_activity
        WHERE datname = current_database() AND application_name = 'orderly'";
    database.rows_become(sessions, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connection_does_not_delay_shutdown() {
    let database = TestDatabase::new().await;
    let served = Served::start(&patient(&database)).await;
    let mut idle = TcpStream::connect(served.url.trim_start_matches("http://")).unwrap();
    idle.write_all(b"GET /v1/products HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    let told = Instant::now();
    served.stop("TERM").await;
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn aborts_endless_request_after_drain_timeout() {
    let database = seeded_database().await;
    let orderly = patient(&database).set("ORDERLY__SHUTDOWN__DRAIN_TIMEOUT", "1s");
    let served = Served::start(&orderly).await;
    let token = served.customer().await;
    let product = served.product().await;
    let _held = lock(&database, &product).await;
    let request = served.order_request(&token, &product).send();
    let in_flight = tokio::spawn(request);
    database.sessions_wait_for_a_lock(1).await;
    served.process.signal("TERM");
    let ended = served.process.ended().await;
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("drain"), "{}", ended.stderr);
    in_flight.await.unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn sandbox_gateway_exits_with_zero_on_signal() {
    for signal in ["TERM", "INT"] {
        let (gateway, _) = gateway(&Orderly::new(), &[]).await;
        gateway.signal(signal);
        let ended = gateway.ended().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
}

/// Keeps the product, so that orders for it are under way as long as the test wants.
async fn lock(database: &TestDatabase, product: &Value) -> Locked {
    let id = product["id"].as_str().unwrap();
    let row = format!("SELECT 1 FROM products WHERE id = '{id}'");
    database.lock(&row).await
}
