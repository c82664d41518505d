//! The invariants: what must be true of every database, whatever was done to it, as SQL
//! that finds what breaks it.
//!
//! The constraints in `migrations/` keep each row right. The invariants are about rows
//! of several tables, which no constraint can see at once; the transactions keep
//! them, and this is how to find out whether they do. Each invariant holds at any moment,
//! also while orders are placed and paid.

use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::error::StorageError;

/// A statement that must be true, and the query for the ids of what breaks it.
pub(crate) struct Invariant {
    pub(crate) description: &'static str,
    query: &'static str,
}

/// The invariants that SQL alone can check.
pub(crate) const INVARIANTS: &[Invariant] = &[
    Invariant {
        description: "stock + sold = received, for every product",
        query: "SELECT p.id::text AS value FROM products p WHERE p.stock_received <> p.stock + (
            SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id
            WHERE l.product_id = p.id AND o.status IN ('pending', 'paid', 'shipped'))",
    },
    Invariant {
        description: "an order has lines, numbered from 1, and its total is their sum",
        query: "SELECT o.id::text AS value FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id
            GROUP BY o.id HAVING o.total_minor IS DISTINCT FROM sum(l.line_total_minor)
            OR max(l.line_no) IS DISTINCT FROM count(l.line_no)",
    },
    Invariant {
        description: "paid and shipped orders have a payment of their total, no other order has one",
        query: "SELECT o.id::text AS value FROM orders o LEFT JOIN payments p ON p.order_id = o.id
            WHERE (o.status IN ('paid', 'shipped')) <> (p.order_id IS NOT NULL)
            OR p.amount_minor <> o.total_minor OR p.currency <> o.currency",
    },
    Invariant {
        description: "a pending order has a charge to come, and only a pending one has",
        query: "SELECT o.id::text AS value FROM orders o LEFT JOIN jobs j ON j.kind = 'payment'
            AND j.key = o.id::text AND j.payload ->> 'operation' = 'charge'
            WHERE (o.status = 'pending') <> (j.key IS NOT NULL)",
    },
    Invariant {
        description: "a pending order has an expiry to come, and only a pending one has",
        query: "SELECT o.id::text AS value FROM orders o LEFT JOIN jobs j ON j.kind = 'order_expiry'
            AND j.key = o.id::text WHERE (o.status = 'pending') <> (j.key IS NOT NULL)",
    },
    Invariant {
        description: "only a cancelled or expired order has a refund to come, and a payment job is about the order's total",
        query: "SELECT o.id::text AS value FROM orders o JOIN jobs j ON j.kind = 'payment'
            AND j.key = o.id::text WHERE (j.payload ->> 'operation' = 'refund'
            AND o.status <> 'cancelled' AND o.failure_reason IS DISTINCT FROM 'expired')
            OR (j.payload ->> 'amount_minor')::bigint <> o.total_minor
            OR j.payload ->> 'currency' <> o.currency",
    },
    Invariant {
        description: "only an order whose payment failed has a failure reason",
        query: "SELECT id::text AS value FROM orders
            WHERE failure_reason IS NOT NULL AND status <> 'payment_failed'",
    },
    Invariant {
        description: "an idempotency key that was used has its response, and its order exists",
        query: "SELECT k.key AS value FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.resource_id
            WHERE num_nonnulls(k.resource_id, k.response_body) > 0
            AND (k.response_body IS NULL OR o.id IS NULL OR o.user_id <> k.user_id
            OR k.response_body::jsonb ->> 'id' <> o.id::text)",
    },
    Invariant {
        description: "one order has one idempotency key",
        query: "SELECT resource_id::text AS value FROM idempotency_keys WHERE resource_id IS NOT NULL
            GROUP BY resource_id HAVING count(*) > 1",
    },
];

/// Jobs at work, due, or due before long: their orders may still change. Dead ones
/// and ones that back off for longer stay as they are.
const PAYMENTS_IN_PROGRESS: &str =
    "SELECT key AS value FROM jobs WHERE kind = 'payment' AND dead_at IS NULL
    AND (lease_token IS NOT NULL OR run_at < now() + interval '10 seconds')
    ORDER BY key";

const ORDER_PAYMENTS: &str = "SELECT o.id::text, o.status, o.total_minor, p.charge_id,
    j.key IS NOT NULL AS has_payment_job
    FROM orders o LEFT JOIN payments p ON p.order_id = o.id
    LEFT JOIN jobs j ON j.kind = 'payment' AND j.key = o.id::text";

/// What an order says of its money.
#[derive(Debug, Clone, diesel::QueryableByName)]
pub(crate) struct OrderPayment {
    #[diesel(sql_type = Text)]
    pub(crate) id: String,
    #[diesel(sql_type = Text)]
    pub(crate) status: String,
    #[diesel(sql_type = BigInt)]
    pub(crate) total_minor: i64,
    /// What the gateway called the charge, if it is paid.
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) charge_id: Option<String>,
    /// Whether the gateway has yet to answer.
    #[diesel(sql_type = Bool)]
    pub(crate) has_payment_job: bool,
}

#[derive(diesel::QueryableByName)]
struct ValueRow {
    #[diesel(sql_type = Text)]
    value: String,
}

/// Returns the ids of what breaks an invariant: of the order, the product or the key.
pub(crate) async fn find_violations(
    conn: &mut AsyncPgConnection,
    invariant: &Invariant,
) -> Result<Vec<String>, StorageError> {
    load_values(conn, invariant.query).await
}

/// The orders whose payment is under way.
pub(crate) async fn payments_in_progress(
    conn: &mut AsyncPgConnection,
) -> Result<Vec<String>, StorageError> {
    load_values(conn, PAYMENTS_IN_PROGRESS).await
}

/// What all orders say of their money.
pub(crate) async fn order_payments(
    conn: &mut AsyncPgConnection,
) -> Result<Vec<OrderPayment>, StorageError> {
    Ok(diesel::sql_query(ORDER_PAYMENTS).load(conn).await?)
}

/// Lets the statements of this session run for long: they read whole tables.
pub(crate) async fn raise_statement_timeout(
    conn: &mut AsyncPgConnection,
) -> Result<(), StorageError> {
    Ok(conn.batch_execute("SET statement_timeout = '1h'").await?)
}

async fn load_values(
    conn: &mut AsyncPgConnection,
    query: &str,
) -> Result<Vec<String>, StorageError> {
    let rows: Vec<ValueRow> = diesel::sql_query(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}
