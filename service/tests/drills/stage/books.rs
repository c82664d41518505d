//! What must be true when a drill is over, whatever was done.

use std::collections::BTreeMap;

use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use uuid::Uuid;

use super::gateway::Gateway;
use crate::load::Seen;
use crate::support::eventually::eventually;
use crate::support::invariants;
use crate::support::sql::number;

#[derive(diesel::QueryableByName)]
struct Product {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(diesel::QueryableByName)]
struct Placed {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    order_id: String,
}

/// Puts ten products on the shelf, more of each than a drill can sell.
pub async fn stock_up(conn: &mut AsyncPgConnection) -> Vec<Uuid> {
    let products: Vec<Product> = diesel::sql_query(
        "INSERT INTO products (id, sku, name, price_minor, currency, stock, stock_received, \
         created_at, updated_at) \
         SELECT gen_random_uuid(), 'DRILL-' || n, 'Thing ' || n, 100 + n, 'EUR', 1000000, 1000000, \
         now(), now() FROM generate_series(1, 10) n RETURNING id",
    )
    .load(conn)
    .await
    .unwrap();
    products.into_iter().map(|product| product.id).collect()
}

/// Waits until nothing is left to be done, then compares what the customers were
/// told, what the database says and what the gateway took.
pub async fn check(conn: &mut AsyncPgConnection, gateway: &Gateway, seen: &Seen) {
    for (what, left) in [
        (
            "every order is paid or refused",
            "SELECT count(*) AS value FROM orders WHERE status = 'pending'",
        ),
        (
            "every payment job is done",
            "SELECT count(*) AS value FROM payment_jobs",
        ),
        (
            "every event is published",
            "SELECT count(*) AS value FROM outbox",
        ),
    ] {
        eventually(what, async || (number(conn, left).await == 0).then_some(())).await;
    }
    invariants::hold(conn, gateway.ledger().await).await;
    answers_are_kept(conn, seen).await;
}

/// Each key has the one order that its customer was told of, and nobody has an order
/// who did not ask for one.
async fn answers_are_kept(conn: &mut AsyncPgConnection, seen: &Seen) {
    let placed: Vec<Placed> =
        diesel::sql_query("SELECT k.key, k.resource_id::text AS order_id FROM idempotency_keys k")
            .load(conn)
            .await
            .unwrap();
    let placed: BTreeMap<String, String> = placed
        .into_iter()
        .map(|row| (row.key, row.order_id))
        .collect();
    for (key, told) in &seen.orders {
        match told {
            Some(order) => assert_eq!(placed.get(key), Some(order), "lost: key {key}"),
            None => assert!(seen.may_give_up, "a customer gave up: key {key}"),
        }
    }
    for key in placed.keys() {
        assert!(seen.orders.contains_key(key), "nobody asked for: key {key}");
    }
    let orders = number(conn, "SELECT count(*) AS value FROM orders").await;
    assert_eq!(orders, placed.len() as i64, "an order without a key");
}
