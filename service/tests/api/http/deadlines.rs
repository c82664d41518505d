//! Deadlines: nobody waits for longer than they said, and nothing is done for
//! somebody who has left.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;

use crate::support::app::{TestApp, send};
use crate::support::eventually::eventually;
use crate::support::fault_proxy::{start_postgres_proxy, use_postgres_proxy};
use crate::support::response::TestResponse;
use crate::support::sql::query_number;

const HEADER: &str = "x-request-timeout-ms";

/// How many statements that name the products run in the app's database.
async fn count_running(app: &TestApp) -> i64 {
    count_sessions(app, "state = 'active'").await
}

/// How many sessions there are of which that is true, and whose last statement named
/// the products.
async fn count_sessions(app: &TestApp, condition: &str) -> i64 {
    let mut conn = app.database.connect().await;
    let query = format!(
        "SELECT count(*) AS value FROM pg_stat_activity WHERE datname = current_database()
        AND query LIKE '%products%' AND pid <> pg_backend_pid() AND {condition}"
    );
    query_number(&mut conn, &query).await
}

/// A search, which is not cached: a read for the cache outlives who asked first.
async fn list_products(app: &TestApp, timeout_ms: &str) -> TestResponse {
    let request = app
        .request(Method::GET, "/v1/products?search=a")
        .header(HEADER, timeout_ms);
    send(request, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_504_and_cancels_statement_past_deadline() {
    // The server's other timeouts are far away: only the cancellation can end it.
    let app = TestApp::start_with(|settings| {
        settings.http.request_timeout = Duration::from_millis(500);
        settings.database.lock_timeout = Duration::from_secs(200);
        settings.database.statement_timeout = Duration::from_secs(300);
    })
    .await;
    let mut blocker = app.lock_products().await;

    let response = app.get("/v1/products?search=a", "").await;

    response.expect_problem(504, "deadline-exceeded");
    eventually("the abandoned statement is cancelled", async || {
        (count_running(&app).await == 0).then_some(())
    })
    .await;
    blocker.batch_execute("ROLLBACK").await.unwrap();
    app.finish().await;
}

/// The client chose the deadline, so its passing is no failure of the service.
#[tokio::test(flavor = "multi_thread")]
async fn returns_408_when_requested_timeout_passes() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let mut blocker = app.lock_products().await;
    for timeout in ["100", "300"] {
        let response = list_products(&app, timeout).await;
        let problem = response.expect_problem(408, "requested-timeout-exceeded");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.ends_with(&format!("{HEADER}: {timeout}")),
            "{detail}"
        );
    }
    eventually("the abandoned statements are cancelled", async || {
        (count_running(&app).await == 0).then_some(())
    })
    .await;
    blocker.batch_execute("ROLLBACK").await.unwrap();
    list_products(&app, "60000").await.expect(200);
    app.get("/v1/users/me", &admin).await.expect(200);
    app.finish().await;
}

/// A limit that the service itself sets stays a failure of the service, whatever the client allows.
#[tokio::test(flavor = "multi_thread")]
async fn returns_504_when_cache_load_outlasts_its_own_limit() {
    let app = TestApp::start_with(|settings| {
        settings.cache.load_timeout = Duration::from_millis(300);
    })
    .await;
    let mut blocker = app.lock_products().await;
    let request = app.request(Method::GET, "/v1/products");
    let response = send(request.header(HEADER, "50000"), "").await;
    response.expect_problem(504, "deadline-exceeded");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_connection_when_cancellation_fails() {
    let proxy = start_postgres_proxy().await;
    let app = TestApp::start_with(|settings| {
        use_postgres_proxy(&proxy, settings);
        // `/metrics` waits for the health checks, which wait for a frozen proxy.
        settings.health.timeout = Duration::from_secs(1);
        // For as long the cancellation is waited for.
        settings.database.connect_timeout = Duration::from_secs(5);
        settings.database.lock_timeout = Duration::from_secs(200);
        settings.database.statement_timeout = Duration::from_secs(300);
    })
    .await;
    // So that a connection is there, and the deadline is for the statement alone.
    list_products(&app, "60000").await.expect(200);
    let mut blocker = app.lock_products().await;

    let (response, ()) = tokio::join!(list_products(&app, "5000"), async {
        eventually("the statement runs", async || {
            (count_running(&app).await == 1).then_some(())
        })
        .await;
        proxy.freeze();
    });

    response.expect_problem(408, "requested-timeout-exceeded");
    app.wait_for_metric(
        "orderly_abandoned_statements_total{outcome=\"closed\"}",
        1.0,
    )
    .await;
    blocker.batch_execute("ROLLBACK").await.unwrap();
    // The proxy notices the closed connection only after it has forwarded what was sent before.
    proxy.restore();
    eventually("its session has ended", async || {
        (count_sessions(&app, "backend_type = 'client backend'").await == 0).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_past_requested_timeout_changes_nothing() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 100, 5).await;
    let customer = app.register_customer().await;
    let locked = app.database.lock_rows("SELECT * FROM products").await;

    let order = app
        .order_request("key", &[(&product, 1)])
        .header(HEADER, "300");
    send(order, &customer)
        .await
        .expect_problem(408, "requested-timeout-exceeded");

    locked.release().await;
    assert_eq!(app.stock(&product).await, 5);
    let again = send(app.order_request("key", &[(&product, 1)]), &customer).await;
    again.expect(201);
    assert_eq!(
        again.header("idempotent-replayed"),
        None,
        "the key was free"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_for_connection_ends_at_deadline() {
    let app = TestApp::start_with(|settings| {
        settings.database.pool_size = 1;
        settings.database.acquire_timeout = Duration::from_secs(10);
    })
    .await;
    let connection = app.app.services.database.connection().await.unwrap();

    list_products(&app, "200")
        .await
        .expect_problem(408, "requested-timeout-exceeded");

    drop(connection);
    list_products(&app, "60000").await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_can_shorten_deadline_but_not_extend_it() {
    let app = TestApp::start_with(|settings| {
        settings.http.slow_request_threshold = Duration::from_millis(100);
        settings.http.request_timeout = Duration::from_millis(300);
    })
    .await;
    let mut blocker = app.lock_products().await;

    // The lock is never given up, and statement_timeout is seconds away.
    list_products(&app, "60000")
        .await
        .expect_problem(504, "deadline-exceeded");

    for rejected in ["0", "3", "99", "-1", "+100", "soon", "1.5", "100, 200", ""] {
        let response = list_products(&app, rejected).await;
        let problem = response.expect_problem(400, "bad-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(HEADER), "{rejected}: {detail}");
    }
    blocker.batch_execute("ROLLBACK").await.unwrap();
    app.finish().await;
}
