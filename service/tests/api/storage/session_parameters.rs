//! Defaults of the database that differ from those that the code relies on.

use futures_util::future::join_all;
use orderly::app::require_compatible_schema;
use orderly::config::DatabaseConfig;

use super::connection_pool::pools;
use crate::support::app::{TestApp, lenient_timeouts};
use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::sql::query_texts;

/// Defaults that change results, break statements or end sessions, unless the session overrides
/// them.
const UNUSUAL_DEFAULTS: &[(&str, &str)] = &[
    ("TimeZone", "'Asia/Kathmandu'"),
    ("standard_conforming_strings", "off"),
    ("DateStyle", "'German, DMY'"),
    ("IntervalStyle", "sql_standard"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-15"),
    ("client_encoding", "LATIN1"),
    ("search_path", "pg_catalog"),
    ("synchronous_commit", "off"),
    ("statement_timeout", "1"),
    ("lock_timeout", "1"),
    ("idle_in_transaction_session_timeout", "1"),
    ("idle_session_timeout", "1"),
    ("default_transaction_deferrable", "on"),
    ("transform_null_equals", "on"),
    ("array_nulls", "off"),
    ("enable_seqscan", "off"),
];

async fn set_defaults(database: &TestDatabase, defaults: &[(&str, &str)]) {
    for (name, value) in defaults {
        let alter = format!("SET {name} = {value}");
        database.alter(&alter).await;
    }
}

/// Places parallel orders of one product and reads them back.
async fn assert_orders_succeed(isolation: &str) {
    let app = TestApp::start().await;
    let product = app
        .create_product(&app.create_admin().await, 100, 1000)
        .await;
    let customer = app.register_customer().await;
    set_defaults(&app.database, UNUSUAL_DEFAULTS).await;
    set_defaults(
        &app.database,
        &[("default_transaction_isolation", isolation)],
    )
    .await;
    app.database.terminate_sessions().await;
    eventually("the service has new sessions", async || {
        let list = app.get("/v1/orders", &customer).await;
        (list.status == 200).then_some(())
    })
    .await;

    let lines = [(&product, 1)];
    let orders = (0..64).map(|_| app.place_order(&customer, &lines));
    for order in join_all(orders).await {
        order.expect(201);
    }
    assert_eq!(app.stock(&product).await, 1000 - 64);
    // The sessions of the test have these defaults, too.
    app.database.alter("RESET ALL").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_succeed_with_unusual_defaults_and_repeatable_read() {
    Box::pin(assert_orders_succeed("'repeatable read'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_succeed_with_unusual_defaults_and_serializable() {
    Box::pin(assert_orders_succeed("serializable")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_overrides_defaults_of_database() {
    let database = TestDatabase::new().await;
    set_defaults(&database, UNUSUAL_DEFAULTS).await;
    set_defaults(
        &database,
        &[("default_transaction_isolation", "serializable")],
    )
    .await;
    let databases = pools(&database, &lenient_timeouts().database).await;
    let mut conn = databases.requests.connection().await.unwrap();
    for (name, expected) in [
        ("default_transaction_isolation", "read committed"),
        ("TimeZone", "UTC"),
        ("standard_conforming_strings", "on"),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("client_encoding", "UTF8"),
        ("search_path", "public"),
        ("synchronous_commit", "on"),
        ("idle_session_timeout", "0"),
    ] {
        let query = format!("SELECT current_setting('{name}') AS value");
        assert_eq!(query_texts(&mut conn, &query).await, [expected], "{name}");
    }
    drop(conn);
    databases.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_rejects_database_without_foreign_keys() {
    let database = TestDatabase::new().await;
    let databases = pools(&database, &DatabaseConfig::default()).await;
    require_compatible_schema(&databases.requests)
        .await
        .unwrap();
    database
        .alter("SET session_replication_role = replica")
        .await;
    let rejected = require_compatible_schema(&databases.requests).await;
    let error = rejected.unwrap_err().to_string();
    assert!(
        error.contains("session_replication_role is replica"),
        "{error}"
    );
    databases.close().await;
}
