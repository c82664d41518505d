//! Statements that Postgres parses: each once for each connection, however often it is executed.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::fault_proxy::use_postgres_at;
use crate::support::fixtures::id;
use crate::support::statement_log::StatementLog;

/// Statements without a plan and without values, sent as they are.
const UTILITY_STATEMENTS: &[&str] = &[
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SELECT 1",
    "LISTEN orderly_jobs",
    "NOTIFY orderly_jobs",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_is_parsed_twice_on_one_connection() {
    let (log, proxy) = StatementLog::start().await;
    let app = TestApp::start_with(|settings| {
        use_postgres_at(proxy, settings);
        settings.database.pool_size = 1;
        settings.database.background_pool_size = 1;
    })
    .await;
    for _ in 0..2 {
        use_every_endpoint(&app).await;
        pay_in_every_way(&app).await;
    }
    let connections = log.connections();
    assert!(
        connections.iter().any(|statements| statements.len() > 20),
        "the proxy saw no statements: {connections:#?}"
    );
    let parsed_again: Vec<_> = connections.iter().flat_map(|log| repeated(log)).collect();
    assert!(parsed_again.is_empty(), "{parsed_again:#?}");
    app.finish().await;
}

/// Returns the statements that a connection sent more than once, each with the number of times.
fn repeated(statements: &[String]) -> BTreeMap<&str, usize> {
    let mut parsed = BTreeMap::<&str, usize>::new();
    for statement in statements {
        *parsed.entry(statement).or_default() += 1;
    }
    parsed.retain(|statement, times| *times > 1 && !UTILITY_STATEMENTS.contains(statement));
    parsed
}

async fn use_every_endpoint(app: &TestApp) {
    let admin = app.create_admin().await;
    let customer = app.register_customer().await;
    app.get("/v1/users/me", &customer).await.expect(200);
    let name = json!({"name": "Another"});
    let renamed = app.patch("/v1/users/me", &customer, &name).await;
    renamed.expect(200);

    let product = app.create_product(&admin, 250, 50).await;
    let product_path = format!("/v1/products/{}", id(&product));
    let price = json!({"amount_minor": 300, "currency": "EUR"});
    for change in [
        json!({"name": "Other"}),
        json!({"price": price}),
        json!({"name": "Thing", "price": price}),
    ] {
        let request = app.request(Method::PATCH, &product_path);
        let request = request.header("if-match", "*").json(&change);
        send(request, &admin).await.expect(200);
    }
    app.adjust_stock(&admin, &product, 5).await.expect(200);
    app.get(&product_path, "").await.expect(200);
    get_pages(app, "/v1/products?limit=1", "").await;
    get_pages(app, "/v1/products?limit=1&search=thing", "").await;

    let lines = [(&product, 2)];
    let key = Uuid::now_v7().to_string();
    for _ in 0..2 {
        let placed = send(app.order_request(&key, &lines), &customer).await;
        placed.expect(201);
    }
    app.place_order(&customer, &lines).await.expect(201);
    get_pages(app, "/v1/orders?limit=1", &customer).await;
    app.get("/v1/orders?status=paid", &customer)
        .await
        .expect(200);
    app.get_admin("/healthz").await.expect(200);
    app.get_admin("/metrics").await;
}

/// Reads the first page and the second.
async fn get_pages(app: &TestApp, path: &str, token: &str) {
    let first = app.get(path, token).await.expect(200);
    if let Value::String(cursor) = &first["next_cursor"] {
        let second = app.get(&format!("{path}&cursor={cursor}"), token).await;
        second.expect(200);
    }
}

async fn pay_in_every_way(app: &TestApp) {
    let admin = app.create_admin().await;
    let customer = app.register_customer().await;
    let product = app.create_product(&admin, 250, 50).await;
    let place = async || {
        let placed = app.place_order(&customer, &[(&product, 1)]).await;
        placed.expect(201)
    };

    let paid = place().await;
    app.wait_for_order_status(&customer, &paid, "paid").await;
    let shipped = app.transition_order(&admin, &paid, "ship").await;
    shipped.expect(200);

    app.set_faults(&json!({"decline_rate": 1.0})).await;
    let declined = place().await;
    app.wait_for_order_status(&customer, &declined, "payment_failed")
        .await;

    app.set_faults(&json!({"error_rate": 1.0})).await;
    let retried = place().await;
    let attempted = "jobs WHERE attempts >= 2";
    app.database.wait_for_row_count(attempted, 1).await;
    let cancelled = app.transition_order(&customer, &retried, "cancel").await;
    cancelled.expect(200);
    let expired = place().await;
    app.end_payment_window(&expired).await;
    app.wait_for_order_status(&customer, &expired, "payment_failed")
        .await;
    app.set_faults(&json!({})).await;
    app.database.wait_for_row_count("jobs", 0).await;
    app.database.wait_for_row_count("outbox", 0).await;
}
