//! Statements that are sent together: what becomes of those behind one that fails, and of a
//! transaction that nobody ends.

use std::time::Duration;

use diesel::IntoSql as _;
use diesel::sql_types::Integer;
use diesel_async::pooled_connection::PoolableConnection as _;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use orderly::config::{DatabaseConfig, OrdersConfig};
use orderly::storage::pipeline::Pipeline;
use orderly::usecases::UseCaseError;
use orderly::usecases::place_order::place_order_on;

use super::connection_pool::pools;
use super::round_trips::{request, response_body, user_id};
use crate::support::app::{TestApp, lenient_timeouts};

/// On a new connection, where each statement is prepared first, and on one that knows them.
#[tokio::test(flavor = "multi_thread")]
async fn failed_statement_aborts_pipelined_commit() {
    let app = TestApp::start().await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let user_id = user_id(&app, &app.register_customer().await).await;
    let request = request(user_id, "key", &[product]);
    let config = OrdersConfig::default();
    let mut other_session = app.database.connect().await;
    let mut conn = app.database.connect().await;

    let add_constraint = "ALTER TABLE outbox ADD CONSTRAINT fault CHECK (false) NOT VALID";
    other_session.batch_execute(add_constraint).await.unwrap();
    for _ in 0..2 {
        let placed = place_order_on(&mut conn, &config, &request, response_body).await;
        assert!(
            matches!(placed, Err(UseCaseError::Internal(_))),
            "{placed:?}"
        );
        assert_eq!(app.database.count_rows("idempotency_keys").await, 0);
        assert!(!conn.is_broken());
    }
    let drop_constraint = "ALTER TABLE outbox DROP CONSTRAINT fault";
    other_session.batch_execute(drop_constraint).await.unwrap();
    let placed = place_order_on(&mut conn, &config, &request, response_body).await;
    assert!(!placed.unwrap().is_replayed());
    app.finish().await;
}

/// A key whose row was committed without an answer, as if what should have followed was never
/// sent: its owner may use it.
#[tokio::test(flavor = "multi_thread")]
async fn key_without_stored_response_is_unused() {
    let app = TestApp::start().await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let user_id = user_id(&app, &app.register_customer().await).await;
    let mut conn = app.database.connect().await;
    let insert_key = format!(
        "INSERT INTO idempotency_keys (user_id, key, fingerprint, created_at, expires_at)
         VALUES ('{}', 'key', sha256('another'), now(), now() + interval '1 day')",
        user_id.0
    );
    conn.batch_execute(&insert_key).await.unwrap();
    let request = request(user_id, "key", &[product]);
    let placed = place_order_on(&mut conn, &OrdersConfig::default(), &request, response_body).await;
    assert!(!placed.unwrap().is_replayed());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_transaction_closes_its_connection() {
    let app = TestApp::start().await;
    let mut conn = app.database.connect().await;
    for is_ended in [true, false] {
        let mut transaction = Pipeline::new(&mut conn);
        let (first, second) = transaction.begin(one, one).await.unwrap();
        assert_eq!((first, second), (1, 1));
        if is_ended {
            transaction.end().await;
        }
        assert_eq!(conn.is_broken(), !is_ended);
    }
    app.finish().await;
}

/// Of a panic, or a client that has gone: its product can be bought by somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_order_releases_its_locks() {
    let app = TestApp::start().await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let customer = app.register_customer().await;
    let config = DatabaseConfig {
        idle_in_transaction_timeout: Duration::from_mins(10),
        ..lenient_timeouts().database
    };
    let databases = pools(&app.database, &config).await;
    let mut conn = databases.requests.connection().await.unwrap();
    let mut transaction = Pipeline::new(&mut conn);
    transaction.begin(one, lock_products).await.unwrap();
    drop(conn);
    let idle_sessions = "pg_stat_activity WHERE datname = current_database()
        AND state LIKE 'idle in transaction%'";
    app.database.wait_for_row_count(idle_sessions, 0).await;
    app.place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);
    databases.close().await;
    app.finish().await;
}

async fn lock_products(mut conn: &AsyncPgConnection) {
    let lock = "SELECT FROM products FOR UPDATE";
    conn.batch_execute(lock).await.unwrap();
}

async fn one(mut conn: &AsyncPgConnection) -> i32 {
    let one = diesel::select(1.into_sql::<Integer>());
    one.get_result(&mut conn).await.unwrap()
}
