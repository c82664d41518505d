//! What must be true when a drill is over, whatever was done.

use std::collections::BTreeMap;

use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use super::gateway::Gateway;
use crate::load::LoadResults;
use crate::support::eventually::eventually;
use crate::support::invariants;
use crate::support::sql::query_number;

#[derive(diesel::QueryableByName)]
struct KeyedOrder {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    order_id: String,
}

/// Waits until nothing is left to be done, then compares what the clients were
/// told, what the database says and what the gateway took.
pub async fn check(conn: &mut AsyncPgConnection, gateway: &Gateway, results: &LoadResults) {
    for (what, remaining) in [
        (
            "every order is paid or refused",
            "SELECT count(*) AS value FROM orders WHERE status = 'pending'",
        ),
        ("every job is done", "SELECT count(*) AS value FROM jobs"),
        (
            "every event is published",
            "SELECT count(*) AS value FROM outbox",
        ),
    ] {
        eventually(what, async || {
            (query_number(conn, remaining).await == 0).then_some(())
        })
        .await;
    }
    invariants::assert_invariants(conn, gateway.ledger()).await;
    assert_orders_match_responses(conn, results).await;
}

/// Each key has the one order that its client was told of, and nobody has an order
/// who did not ask for one.
async fn assert_orders_match_responses(conn: &mut AsyncPgConnection, results: &LoadResults) {
    let placed: Vec<KeyedOrder> =
        diesel::sql_query("SELECT k.key, k.resource_id::text AS order_id FROM idempotency_keys k")
            .load(conn)
            .await
            .unwrap();
    let placed: BTreeMap<String, String> = placed
        .into_iter()
        .map(|row| (row.key, row.order_id))
        .collect();
    for (key, acknowledged) in &results.orders {
        match acknowledged {
            Some(order) => assert_eq!(placed.get(key), Some(order), "lost: key {key}"),
            None => assert!(results.retries_disabled, "never acknowledged: key {key}"),
        }
    }
    for key in placed.keys() {
        assert!(
            results.orders.contains_key(key),
            "no client sent: key {key}"
        );
    }
    let orders = query_number(conn, "SELECT count(*) AS value FROM orders").await;
    assert_eq!(orders, placed.len() as i64, "an order without a key");
}
