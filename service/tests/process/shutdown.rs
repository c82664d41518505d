//! Told to stop: what was begun is ended, nothing new is taken, and the exit code is 0.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::process::Signal;

use crate::support::app::send;
use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::gateway::start_gateway;
use crate::support::process::OrderlyCommand;
use crate::support::service_process::{ServiceProcess, seeded_database};
use crate::support::sql::RowLock;

/// Longer than any wait in a test, so that only one that never ends reaches it.
const FOREVER: &str = "10m";

/// Far less than [`FOREVER`], and far more than a stop takes.
const SOON: Duration = Duration::from_secs(25);

fn lenient_shutdown(database: &TestDatabase) -> OrderlyCommand {
    OrderlyCommand::with_database(database)
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
    assert_graceful_stop(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_finishes_requests_and_rejects_new_ones() {
    assert_graceful_stop(Signal::INT).await;
}

async fn assert_graceful_stop(signal: Signal) {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let gateway_url = gateway.url();
    let orderly = lenient_shutdown(&database).set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway_url);
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let row_lock = lock_product(&database, &product).await;
    let in_flight: Vec<_> = (0..4)
        .map(|_| tokio::spawn(send(service.order_request(&token, &product), "")))
        .collect();
    database.wait_for_lock_waiters(4).await;

    service.process.signal(signal);
    let address = service.url.trim_start_matches("http://").to_owned();
    eventually("new connections are refused", async || {
        TcpStream::connect(&address).err().map(drop)
    })
    .await;
    // Not ready, and still there: a probe must see the difference.
    let probe = OrderlyCommand::new().set("ORDERLY__ADMIN__PORT", &service.admin_port.to_string());
    let message = probe.fail(1, &["healthcheck"]).await;
    assert!(message.contains("shutting down"), "{message}");

    row_lock.release().await;
    for response in in_flight {
        response.await.unwrap().expect(201);
    }
    let log = service.wait_for_exit().await;
    let lines_with =
        |message: &'static str| log.iter().filter(move |line| line["message"] == message);
    let phases: Vec<_> = lines_with("phase ended")
        .map(|line| &line["phase"])
        .collect();
    assert_eq!(phases, ["drain_delay", "drain", "jobs", "pools"], "{log:?}");
    for line in lines_with("phase ended") {
        assert!(line["duration_ms"].is_u64(), "{line}");
    }
    // The first has none: it always takes its time.
    let deadlines: Vec<_> = lines_with("shutting down")
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
    database.wait_for_row_count(sessions, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connection_does_not_delay_shutdown() {
    let database = TestDatabase::new().await;
    let service = ServiceProcess::start(&lenient_shutdown(&database)).await;
    let mut idle = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    idle.write_all(b"GET /v1/products HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut response = [0; 12];
    idle.read_exact(&mut response).unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");

    let stop_sent_at = Instant::now();
    service.stop(Signal::TERM).await;
    assert!(
        stop_sent_at.elapsed() < SOON,
        "{:?}",
        stop_sent_at.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn aborts_endless_request_after_drain_timeout() {
    let database = seeded_database().await;
    let orderly = lenient_shutdown(&database).set("ORDERLY__SHUTDOWN__DRAIN_TIMEOUT", "1s");
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let _held = lock_product(&database, &product).await;
    let request = service.order_request(&token, &product).send();
    let in_flight = tokio::spawn(request);
    database.wait_for_lock_waiters(1).await;
    service.process.signal(Signal::TERM);
    let ended = service.process.wait().await;
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("drain"), "{}", ended.stderr);
    in_flight.await.unwrap().unwrap_err();
}

/// Keeps the product, so that orders for it are under way as long as the test wants.
async fn lock_product(database: &TestDatabase, product: &Value) -> RowLock {
    let id = product["id"].as_str().unwrap();
    let row = format!("SELECT 1 FROM products WHERE id = '{id}'");
    database.lock_rows(&row).await
}
