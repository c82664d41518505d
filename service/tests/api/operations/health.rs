//! What the probes say while something is wrong.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::fixtures::{PASSWORD, id};
use crate::support::migrations::{COMPATIBLE, upgrade};

/// A read that is not cached: each one needs a connection.
const SEARCH: &str = "/v1/products?search=x";

async fn execute(conn: &mut AsyncPgConnection, sql: &str) {
    conn.batch_execute(sql).await.unwrap();
}

async fn check(app: &TestApp, name: &str) -> Value {
    app.get_admin("/healthz").await.json()["checks"][name].clone()
}

/// Waits until a check has that status, and returns what it says.
async fn wait_for_check(app: &TestApp, name: &str, status: &str) -> Value {
    eventually(&format!("{name} is {status}"), async || {
        let check = check(app, name).await;
        (check["status"] == status).then_some(check)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_service_reports_every_check() {
    let app = TestApp::start().await;
    app.get_admin("/livez").await.expect(200);
    app.get_admin("/startupz").await.expect(200);
    let ready = app.get_admin("/readyz").await.expect(200);
    assert_eq!(ready, json!({"status": "ready"}));

    for name in ["postgres", "migrations", "gateway", "job_backlog"] {
        let check = wait_for_check(&app, name, "healthy").await;
        assert!(check["latency_ms"].is_number(), "{check}");
        assert!(check["details"].is_object(), "{check}");
    }
    let health = app.get_admin("/healthz").await.expect(200);
    let names: Vec<&String> = health["checks"].as_object().unwrap().keys().collect();
    let all = [
        "connections",
        "disk",
        "event_loop",
        "gateway",
        "job_backlog",
        "memory",
        "migrations",
        "postgres",
    ];
    assert_eq!(names, all, "there is no Redis to look at");
    for check in health["checks"].as_object().unwrap().values() {
        let details = check["details"].as_object().unwrap();
        assert!(!details.values().any(Value::is_null), "{check}");
    }
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["uptime_seconds"].is_u64(), "{health}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_ready_until_postgres_recovers() {
    let app = TestApp::start_with(|settings| {
        settings.health.cache_ttl = Duration::ZERO;
    })
    .await;
    app.database.block_connections().await;
    let not_ready = app.get_admin("/readyz").await.expect(503);
    let reason = not_ready["reason"].as_str().unwrap();
    assert!(reason.starts_with("postgres: "), "{not_ready}");
    let health = app.get_admin("/healthz").await.expect(503);
    assert_eq!(health["status"], "unhealthy");
    assert_eq!(health["checks"]["postgres"]["status"], "unhealthy");
    assert_eq!(health["checks"]["migrations"]["status"], "degraded");
    app.get_admin("/livez").await.expect(200);
    let series = "orderly_health_check_status{check=\"postgres\"}";
    assert_eq!(app.metric(series).await, Some(2.0));

    app.database.allow_connections().await;
    app.get_admin("/readyz").await.expect(200);
    assert_eq!(app.metric(series).await, Some(0.0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_ready_while_requests_hold_all_connections() {
    let app = TestApp::start_with(|settings| {
        settings.database.pool_size = 2;
        settings.database.acquire_timeout = Duration::from_mins(1);
        settings.database.lock_timeout = Duration::from_mins(1);
        settings.http.request_timeout = Duration::from_mins(1);
        settings.health.cache_ttl = Duration::ZERO;
    })
    .await;
    let mut conn = app.database.connect().await;
    execute(&mut conn, "BEGIN; LOCK TABLE products").await;
    let blocked_requests: Vec<_> = (0..4)
        .map(|_| tokio::spawn(app.request(reqwest::Method::GET, SEARCH).send()))
        .collect();
    eventually("every connection of the pool is taken", async || {
        let waiting = "orderly_pool_connections{pool=\"requests\",state=\"waiting\"}";
        (app.metric(waiting).await? >= 1.0).then_some(())
    })
    .await;
    app.get_admin("/readyz").await.expect(200);
    let health = app.get_admin("/healthz").await.expect(200);
    assert_eq!(health["checks"]["postgres"]["status"], "healthy");
    execute(&mut conn, "ROLLBACK").await;
    for request in blocked_requests {
        request.await.unwrap().unwrap();
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_ready_while_jobs_hold_all_connections() {
    let app = TestApp::start_with(|settings| {
        settings.database.background_pool_size = 2;
        settings.health.cache_ttl = Duration::ZERO;
        // Long enough for a Postgres that is only busy.
        settings.health.timeout = Duration::from_secs(2);
    })
    .await;
    let mut conn = app.database.connect().await;
    execute(&mut conn, "BEGIN; LOCK TABLE jobs").await;
    // The worker that leases and the one that measures the queue.
    wait_for_check(&app, "migrations", "degraded").await;
    app.get_admin("/readyz").await.expect(200);
    execute(&mut conn, "ROLLBACK").await;
    wait_for_check(&app, "migrations", "healthy").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn degraded_but_ready_without_redis() {
    let app = TestApp::start_with(|settings| {
        settings.redis.url = Some("redis://127.0.0.1:1".to_owned().into());
        settings.health.cache_ttl = Duration::ZERO;
    })
    .await;
    let redis = wait_for_check(&app, "redis", "degraded").await;
    assert!(redis["details"]["error"].is_string(), "{redis}");
    eventually("the breaker opens", async || {
        let redis = check(&app, "redis").await;
        (redis["details"]["breaker"] == "open").then_some(())
    })
    .await;
    app.get_admin("/readyz").await.expect(200);
    let health = app.get_admin("/healthz").await.expect(200);
    assert_eq!(health["status"], "degraded");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn degraded_by_open_breaker_and_dead_lettered_payment() {
    let app = TestApp::start_with(|settings| {
        settings.payment_jobs.max_attempts = 1;
        settings.breaker.minimum_calls = 1;
        settings.breaker.open_duration = Duration::from_mins(10);
        settings.health.cache_ttl = Duration::ZERO;
    })
    .await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 100, 1).await;
    app.set_faults(&json!({"error_rate": 1.0})).await;
    let customer = app.register_customer().await;
    let order = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);

    let gateway = wait_for_check(&app, "gateway", "degraded").await;
    assert_eq!(gateway["details"]["breaker"], "open");
    let backlog = wait_for_check(&app, "job_backlog", "degraded").await;
    assert_eq!(backlog["details"]["dead_lettered"], 1);
    app.get_admin("/readyz").await.expect(200);

    // `TestApp::finish` would wait for the dead-lettered payment.
    let path = format!("/v1/orders/{}/cancel", id(&order));
    app.post(&path, &customer, &json!({})).await.expect(200);
    app.app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_schema_degrades_only_if_incompatible() {
    let app = TestApp::start_with(|settings| settings.health.cache_ttl = Duration::ZERO).await;
    upgrade(&app.database, COMPATIBLE).await;
    let schema = check(&app, "migrations").await;
    assert_eq!(schema["status"], "healthy");
    let ahead = json!({"schema": "ahead", "versions": ["29991231000001"]});
    assert_eq!(schema["details"], ahead);

    let undeclared = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')";
    execute(&mut app.database.connect().await, undeclared).await;
    let schema = wait_for_check(&app, "migrations", "degraded").await;
    assert_eq!(schema["details"]["oldest_compatible"], "not declared");
    let unknown = json!(["29991231000001", "99990101000000"]);
    assert_eq!(schema["details"]["versions"], unknown);
    app.get_admin("/readyz").await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_check_result_is_cached() {
    let app = TestApp::start_with(|settings| {
        settings.health.cache_ttl = Duration::from_mins(1);
    })
    .await;
    let first = check(&app, "migrations").await;
    let mut conn = app.database.connect().await;
    execute(
        &mut conn,
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')",
    )
    .await;
    assert_eq!(check(&app, "migrations").await, first);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_database_degrades_until_it_is_writable() {
    let app = TestApp::start_with(|settings| {
        settings.health.cache_ttl = Duration::ZERO;
    })
    .await;
    let product = app.create_product(&app.create_admin().await, 100, 10).await;
    let customer = app.register_customer().await;
    app.database
        .alter("SET default_transaction_read_only = on")
        .await;
    app.database.terminate_sessions().await;

    let check = wait_for_check(&app, "postgres", "degraded").await;
    assert_eq!(check["details"]["writable"], false, "{check}");
    assert_eq!(check["details"]["read_only"], true, "{check}");
    app.get_admin("/readyz").await.expect(200);
    app.get("/v1/orders", &customer).await.expect(200);
    let rejected = app.place_order(&customer, &[(&product, 1)]).await;
    rejected.expect_problem(503, "unavailable");
    assert!(rejected.header("retry-after").is_some());
    let register = json!({"email": "a@example.com", "password": PASSWORD, "name": "A"});
    let rejected = app.post("/v1/users", "", &register).await;
    rejected.expect_problem(503, "unavailable");

    app.database
        .alter("RESET default_transaction_read_only")
        .await;
    wait_for_check(&app, "postgres", "healthy").await;
    eventually("orders are accepted again", async || {
        let order = app.place_order(&customer, &[(&product, 1)]).await;
        (order.status == 201).then_some(())
    })
    .await;
    app.finish().await;
}
