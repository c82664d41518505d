//! The books: what must be true of every database and its gateway's ledger,
//! whatever was done to them, once no payment job is under way any more.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use orderly::payments::sandbox::{EntryKind, SandboxGateway};

use super::database::TestDatabase;
use super::eventually::eventually;

/// Each query counts the rows that break a rule.
const RULES: &[(&str, &str)] = &[
    (
        "stock + sold = received, for every product",
        "SELECT count(*) AS n FROM products p WHERE p.stock_received <> p.stock + (
            SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id
            WHERE l.product_id = p.id AND o.status IN ('pending', 'paid', 'shipped'))",
    ),
    (
        "an order's total is the sum of its lines",
        "SELECT count(*) AS n FROM orders o WHERE o.total_minor IS DISTINCT FROM (
            SELECT sum(l.line_total_minor)::int8 FROM order_lines l WHERE l.order_id = o.id)",
    ),
    (
        "paid and shipped orders have a payment of their total, no other order has one",
        "SELECT count(*) AS n FROM orders o LEFT JOIN payments p ON p.order_id = o.id
            WHERE (o.status IN ('paid', 'shipped')) <> (p.order_id IS NOT NULL)
            OR p.amount_minor <> o.total_minor OR p.currency <> o.currency",
    ),
    (
        "a pending order has a charge to come, and only a pending one has",
        "SELECT count(*) AS n FROM orders o LEFT JOIN payment_jobs j
            ON j.order_id = o.id AND j.kind = 'charge'
            WHERE (o.status = 'pending') <> (j.order_id IS NOT NULL)",
    ),
    (
        "an idempotency key is committed with its answer, and its order is there",
        "SELECT count(*) AS n FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.resource_id
            WHERE k.answer IS NULL OR o.id IS NULL OR o.user_id <> k.user_id",
    ),
];

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(diesel::QueryableByName)]
struct PaidOrder {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    total_minor: i64,
}

/// Waits until the payment jobs are done (dead ones and ones that back off for
/// long stay), then checks every rule.
pub async fn check(database: &TestDatabase, gateway: &SandboxGateway) {
    let mut conn = database.connect().await;
    eventually("no payment job is under way", async || {
        let under_way = "SELECT count(*) AS n FROM payment_jobs
            WHERE dead_at IS NULL AND (lease_token IS NOT NULL OR run_at < now())";
        (count(&mut conn, under_way).await == 0).then_some(())
    })
    .await;
    for (rule, broken) in RULES {
        assert_eq!(count(&mut conn, broken).await, 0, "broken: {rule}");
    }
    charged_is_paid(&mut conn, gateway).await;
}

/// What the gateway took for an order, less what it gave back, is the order's
/// total if it is paid and nothing otherwise. A pending order whose answer was
/// lost may have been charged, once.
async fn charged_is_paid(conn: &mut AsyncPgConnection, gateway: &SandboxGateway) {
    let mut taken: BTreeMap<String, i64> = BTreeMap::new();
    for entry in gateway.ledger() {
        let sign = match entry.kind {
            EntryKind::Charge => 1,
            EntryKind::Refund => -1,
            EntryKind::Void | EntryKind::Decline => 0,
        };
        *taken.entry(entry.reference).or_default() += sign * entry.amount_minor;
    }
    let orders: Vec<PaidOrder> =
        diesel::sql_query("SELECT id::text, status, total_minor FROM orders")
            .load(conn)
            .await
            .unwrap();
    for order in orders {
        let charged = taken.remove(&order.id).unwrap_or(0);
        let allowed = match order.status.as_str() {
            "paid" | "shipped" => vec![order.total_minor],
            "pending" => vec![0, order.total_minor],
            _ => vec![0],
        };
        assert!(
            allowed.contains(&charged),
            "order {} is {} at {}, but {charged} was charged",
            order.id,
            order.status,
            order.total_minor
        );
    }
    let without_order: Vec<_> = taken.into_iter().filter(|(_, minor)| *minor != 0).collect();
    assert!(
        without_order.is_empty(),
        "charged without an order: {without_order:?}"
    );
}

async fn count(conn: &mut AsyncPgConnection, query: &str) -> i64 {
    let count: Count = diesel::sql_query(query).get_result(conn).await.unwrap();
    count.n
}
