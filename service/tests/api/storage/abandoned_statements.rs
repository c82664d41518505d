//! Statements that still run when their request has ended.

use std::time::Duration;

use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use orderly::config::DatabaseConfig;
use orderly::resilience::deadline::{DeadlineExceeded, with_deadline};
use orderly::storage::database::{Database, Databases};
use reqwest::Method;
use tokio::time::Instant;

use super::connection_pool::pools;
use crate::support::app::{TestApp, lenient_timeouts, send};
use crate::support::database::TestDatabase;
use crate::support::sql::query_number;

const OPENED: &str = "orderly_database_connections_opened_total";

/// A pool with one connection, so that the next borrower gets the abandoned one.
async fn single_connection(database: &TestDatabase) -> Databases {
    let config = DatabaseConfig {
        pool_size: 1,
        // Each test may cancel as often as it likes.
        max_new_connections_per_second: 1000,
        ..lenient_timeouts().database
    };
    pools(database, &config).await
}

async fn backend(database: &Database) -> i64 {
    let mut conn = database.connection().await.unwrap();
    query_number(&mut conn, "SELECT pg_backend_pid()::bigint AS value").await
}

/// Runs a statement, and abandons it at the deadline.
async fn abandon(database: &Database, sql: &str, after: Duration) {
    let work = async {
        let mut conn = database.connection().await.unwrap();
        conn.batch_execute(sql).await.unwrap();
    };
    let _deadline_or_done = with_deadline(Instant::now() + after, work).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_statement_leaves_session_in_pool() {
    let test_database = TestDatabase::new().await;
    let databases = single_connection(&test_database).await;
    let database = &databases.requests;
    let first = backend(database).await;
    for sql in ["SELECT pg_sleep(1000)", "BEGIN; SELECT pg_sleep(1000)"] {
        abandon(database, sql, Duration::from_millis(20)).await;
        assert_eq!(backend(database).await, first, "{sql}");
    }
    databases.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_transaction_is_rolled_back_in_its_session() {
    let test_database = TestDatabase::new().await;
    let databases = single_connection(&test_database).await;
    let database = &databases.requests;
    let first = backend(database).await;
    let work = async {
        let mut conn = database.connection().await.unwrap();
        conn.transaction(async |conn| {
            conn.batch_execute("CREATE TABLE abandoned ()").await?;
            diesel::sql_query("SELECT pg_sleep(1000)")
                .execute(conn)
                .await
        })
        .await
    };
    let abandoned = with_deadline(Instant::now() + Duration::from_millis(300), work).await;
    assert_eq!(abandoned, Err(DeadlineExceeded));

    assert_eq!(backend(database).await, first);
    let mut conn = database.connection().await.unwrap();
    let open = "SELECT count(*) AS value FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE c.relname = 'abandoned'";
    assert_eq!(query_number(&mut conn, open).await, 0);
    conn.transaction(async |conn| conn.batch_execute("CREATE TABLE abandoned ()").await)
        .await
        .unwrap();
    drop(conn);
    databases.close().await;
}

/// The statement ends at the same time as the cancellation arrives.
#[tokio::test(flavor = "multi_thread")]
async fn late_cancellation_does_not_hit_next_statement() {
    let test_database = TestDatabase::new().await;
    let databases = single_connection(&test_database).await;
    let database = &databases.requests;
    let first = backend(database).await;
    for delay_ms in 95..125 {
        let sql = format!("SELECT pg_sleep({})", f64::from(delay_ms) / 1000.0);
        abandon(database, &sql, Duration::from_millis(5)).await;
        let mut conn = database.connection().await.unwrap();
        conn.batch_execute("SELECT pg_sleep(0.02)").await.unwrap();
    }
    assert_eq!(backend(database).await, first, "it was used all the time");
    databases.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_deadlines_open_no_sessions() {
    const POOL_SIZE: usize = 4;
    let app = TestApp::start_with(|settings| {
        settings.database.pool_size = POOL_SIZE;
        settings.database.lock_timeout = Duration::from_secs(200);
        settings.database.statement_timeout = Duration::from_secs(300);
        settings.database.max_new_connections_per_second = 1000;
    })
    .await;
    let mut blocker = app.lock_products().await;
    for _ in 0..10 {
        let requests = (0..POOL_SIZE).map(|_| {
            let request = app.request(Method::GET, "/v1/products?search=a");
            send(request.header("x-request-timeout-ms", "150"), "")
        });
        for response in futures_util::future::join_all(requests).await {
            response.expect_problem(408, "requested-timeout-exceeded");
        }
    }
    blocker.batch_execute("ROLLBACK").await.unwrap();
    let opened = app.metric(&format!("{OPENED}{{purpose=\"pool\"}}")).await;
    let background = 4;
    let most = (POOL_SIZE + background) as f64;
    assert!(
        opened.unwrap() <= most,
        "{opened:?} connections were opened"
    );
    app.get("/v1/products?search=a", "").await.expect(200);
    app.finish().await;
}

/// Without budget, an abandoned statement ends by its own timeout.
#[tokio::test(flavor = "multi_thread")]
async fn cancellations_stay_within_budget() {
    let app = TestApp::start_with(|settings| {
        settings.database.pool_size = 2;
        settings.database.background_pool_size = 2;
        settings.database.lock_timeout = Duration::from_millis(400);
        settings.database.statement_timeout = Duration::from_millis(500);
        settings.database.max_new_connections_per_second = 1;
    })
    .await;
    let mut blocker = app.lock_products().await;
    let began = Instant::now();
    for _ in 0..20 {
        let request = app.request(Method::GET, "/v1/products?search=a");
        let response = send(request.header("x-request-timeout-ms", "120"), "").await;
        assert!([408, 503].contains(&response.status), "{}", response.text);
    }
    let seconds = began.elapsed().as_secs_f64();
    blocker.batch_execute("ROLLBACK").await.unwrap();
    let cancelled = app
        .metric(&format!("{OPENED}{{purpose=\"cancellation\"}}"))
        .await
        .unwrap();
    // One a second, and the burst of a full start.
    let most = seconds + 5.0;
    assert!(
        cancelled <= most,
        "{cancelled} cancellations in {seconds} s"
    );
    app.finish().await;
}
