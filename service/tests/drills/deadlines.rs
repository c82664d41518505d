//! Clients that abandon their requests. The promise: a deadline that a client chose is the client's
//! responsibility, and costs neither the others nor the database anything.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use reqwest::{Client, RequestBuilder};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::environment::DrillEnvironment;
use crate::load::AttemptOutcome::Status;
use crate::support::sql::query_number;

const MEASUREMENT_PERIOD: Duration = Duration::from_secs(8);
const IMPATIENT_CONNECTIONS: usize = 16;
/// Longest wait of the other client, on a busy machine.
const MAX_LATENCY: Duration = Duration::from_secs(3);
/// The shortest that `x-request-timeout-ms` may be.
const REQUESTED_TIMEOUT_MS: &str = "100";

/// Every search takes 150 ms: longer than the impatient clients allow, and not long.
const SLOW_SEARCH: &str = "CREATE FUNCTION delay_search() RETURNS boolean LANGUAGE plpgsql AS \
     'BEGIN PERFORM pg_sleep(0.15); RETURN true; END'; \
     ALTER TABLE products RENAME TO stored_products; \
     CREATE VIEW products AS SELECT * FROM stored_products WHERE (SELECT delay_search())";
const NORMAL_SEARCH: &str = "DROP VIEW products; ALTER TABLE stored_products RENAME TO products";

/// Runbook: `docs/runbooks/short_deadlines.md`
///
/// Sixteen anonymous connections search with the shortest deadline there is, and hardly one gets a
/// result: a busy machine may notice the deadline late. Another client reads its orders at a steady
/// rate. What is measured is that client's wait, and the sessions that Postgres opens.
#[tokio::test(flavor = "multi_thread")]
async fn short_deadlines() {
    let mut env = DrillEnvironment::start("short_deadlines", &[]).await;
    let load = env.start_load(20).await;
    let token = load.register_client().await;
    let before = load.stop().await;
    let api = env.service().api;
    let orders = Client::new().get(format!("http://{api}/v1/orders"));
    let orders = orders.bearer_auth(token);
    let mut database = env.database().await;
    database.batch_execute(SLOW_SEARCH).await.unwrap();

    let quiet = measure_latencies(&orders).await;
    let sessions_before = count_opened_sessions(&mut database).await;
    let (responses, busy) = tokio::join!(search_impatiently(api), measure_latencies(&orders));
    let ended_at = Instant::now();
    let sessions = count_opened_sessions(&mut database).await - sessions_before;
    database.batch_execute(NORMAL_SEARCH).await.unwrap();

    let (quiet, busy) = (percentile_99(quiet), percentile_99(busy));
    let summary = format!(
        "p99 {quiet:?} -> {busy:?}, {sessions} sessions opened by {} requests",
        responses.len()
    );
    assert!(responses.len() > IMPATIENT_CONNECTIONS, "{summary}");
    let abandoned = responses.iter().filter(|status| **status == 408).count();
    let late = responses.iter().filter(|status| **status == 200).count();
    assert_eq!(abandoned + late, responses.len(), "{summary}");
    assert!(abandoned > late, "{summary}: {late} late results");
    assert!(busy < MAX_LATENCY, "{summary}");
    // The pool has ten connections: it may be replaced, but not again and again.
    assert!(sessions <= 40, "{summary}");
    let log = env.service().log();
    let errors = log
        .lines()
        .filter(|line| line.contains(r#""level":"ERROR""#));
    assert_eq!(errors.count(), 0, "the log has errors");

    let load = env.start_load(20).await;
    let recovered = load.wait_for_recovery(ended_at).await;
    let mut results = load.stop().await;
    results.orders.extend(before.orders);
    results.assert_outcomes(&[Status(200), Status(201)]);
    env.finish(&results, recovered).await;
}

/// Returns the statuses of searches that a few connections send for a while without a pause.
async fn search_impatiently(api: SocketAddr) -> Vec<u16> {
    let mut connections = JoinSet::new();
    for _ in 0..IMPATIENT_CONNECTIONS {
        let request = Client::new()
            .get(format!("http://{api}/v1/products?search=thing"))
            .header("x-request-timeout-ms", REQUESTED_TIMEOUT_MS);
        connections.spawn(async move {
            let started_at = Instant::now();
            let mut statuses = Vec::new();
            while started_at.elapsed() < MEASUREMENT_PERIOD {
                let response = request.try_clone().unwrap().send().await.unwrap();
                statuses.push(response.status().as_u16());
            }
            statuses
        });
    }
    connections.join_all().await.concat()
}

/// Returns the latencies of requests at a steady rate. All of them must succeed.
async fn measure_latencies(request: &RequestBuilder) -> Vec<Duration> {
    let mut arrivals = interval(Duration::from_millis(50));
    arrivals.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let started_at = Instant::now();
    let mut requests = JoinSet::new();
    while started_at.elapsed() < MEASUREMENT_PERIOD {
        arrivals.tick().await;
        let request = request.try_clone().unwrap();
        requests.spawn(async move {
            let sent_at = Instant::now();
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200);
            response.bytes().await.unwrap();
            sent_at.elapsed()
        });
    }
    requests.join_all().await
}

fn percentile_99(mut latencies: Vec<Duration>) -> Duration {
    latencies.sort();
    latencies[latencies.len() * 99 / 100]
}

/// Returns the number of sessions that Postgres has opened in the database so far.
async fn count_opened_sessions(conn: &mut AsyncPgConnection) -> i64 {
    let query = "SELECT sessions AS value FROM pg_stat_database WHERE datname = current_database()";
    query_number(conn, query).await
}
