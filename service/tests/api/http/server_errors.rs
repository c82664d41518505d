//! When it is our fault: the client is told that, and nothing of the cause.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::fixtures::{PASSWORD, id};

#[tokio::test(flavor = "multi_thread")]
async fn internal_error_hides_its_cause() {
    let app = TestApp::start().await;
    let customer = app.register_customer().await;
    let mut conn = app.database.connect().await;
    conn.batch_execute("ALTER TABLE users RENAME COLUMN name TO broken_name")
        .await
        .unwrap();
    let registration = json!({"email": "a@example.com", "password": PASSWORD, "name": "Ada"});
    let log_in = json!({"email": "a@example.com", "password": PASSWORD});
    for response in [
        app.get("/v1/users/me", &customer).await,
        app.patch("/v1/users/me", &customer, &json!({"name": "B"}))
            .await,
        app.post("/v1/users", "", &registration).await,
        app.post("/v1/sessions", "", &log_in).await,
    ] {
        let mut problem = response.expect_problem(500, "internal");
        problem["instance"] = json!("");
        insta::assert_json_snapshot!("internal_problem", problem, {".trace_id" => "[trace]"});
        // Nor do the headers.
        for (name, value) in &response.headers {
            assert!(!value.to_str().unwrap().contains("column"), "{name}");
        }
    }
    // Nothing is left broken behind.
    conn.batch_execute("ALTER TABLE users RENAME COLUMN broken_name TO name")
        .await
        .unwrap();
    app.get("/v1/users/me", &customer).await.expect(200);
    app.finish().await;
}

/// What was found is told again for a while, so a change is not seen at once.
async fn wait_for_readiness(app: &TestApp, ready: bool) {
    let status = if ready { "ready" } else { "not ready" };
    eventually(&format!("the service is {status}"), async || {
        let probe = app.get_admin("/readyz").await.json();
        (probe["status"] == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_503_until_database_recovers() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let path = format!("/v1/products/{}", id(&product));

    app.database.block_connections().await;
    // More requests than the pool has connections, some of which broke unnoticed.
    for _ in 0..20 {
        let response = app.get(&path, "").await;
        let problem = response.expect_problem(503, "unavailable");
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(
            problem["detail"],
            "a part that this needs is away; try again soon"
        );
    }
    wait_for_readiness(&app, false).await;
    app.get_admin("/livez").await.expect(200);
    // What needs no database still answers.
    app.get("/openapi.json", "").await.expect(200);

    app.database.allow_connections().await;
    eventually("the database is used again", async || {
        (app.get(&path, "").await.status == 200).then_some(())
    })
    .await;
    wait_for_readiness(&app, true).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_503_after_lock_timeout() {
    let app = TestApp::start_with(|settings| {
        settings.database.lock_timeout = Duration::from_millis(100);
    })
    .await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let path = format!("/v1/products/{}/stock", id(&product));
    let delta = json!({"delta": 1});

    let mut conn = app.database.connect().await;
    conn.batch_execute("BEGIN; SELECT 1 FROM products FOR UPDATE")
        .await
        .unwrap();
    let response = app.post(&path, &admin, &delta).await;
    response.expect_problem(503, "overloaded");
    assert_eq!(response.header("retry-after"), Some("1"));

    conn.batch_execute("ROLLBACK").await.unwrap();
    let adjusted = app.post(&path, &admin, &delta).await.expect(200);
    assert_eq!(adjusted["stock"], 6);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_503_after_statement_timeout() {
    let app = TestApp::start_with(|settings| {
        // Long enough for every other statement on a busy machine.
        settings.database.statement_timeout = Duration::from_secs(1);
        settings.database.lock_timeout = Duration::from_secs(30);
    })
    .await;
    let mut conn = app.database.connect().await;
    conn.batch_execute("BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let response = app.get("/v1/products", "").await;
    response.expect_problem(503, "overloaded");
    assert_eq!(response.header("retry-after"), Some("1"));

    conn.batch_execute("ROLLBACK").await.unwrap();
    app.get("/v1/products", "").await.expect(200);
    app.finish().await;
}
