//! Writes an accepted order in one statement: stock, order, lines, event, jobs and response.
//!
//! # Problem
//!
//! The product rows are locked while an order is written, and every other order of one of them
//! waits. Typed statements, one after the other, halve the orders per second:
//!
//! - Each statement is a round trip under these locks.
//! - diesel 2.3 does not cache a typed `UPDATE`, so each execution is parsed and planned again.
//! - tokio-postgres sends a Sync for each statement, also for pipelined ones.
//! - A pipelined statement that is never sent (it can't be prepared, a value can't be encoded)
//!   leaves the others to the `COMMIT` behind them.
//!
//! # How it works
//!
//! Data-modifying `WITH` queries (PostgreSQL manual, 7.8.2) write all tables in one statement. Its
//! text is static and the lines are arrays, so it is prepared once for each connection, whatever
//! the number of lines. The measured alternatives are in `docs/adr/0001-order-in-one-statement.md`.
//!
//! # Pitfalls
//!
//! The queries see the same snapshot and run in any order: none sees the rows of another, except
//! through `RETURNING`, and no row may be changed twice.
//!
//! # Tests
//!
//! `plain_statements_leave_same_rows` in `tests/api/storage/plain_order.rs` is this statement in
//! plain typed ones, and compares the rows. See also `second_order_on_connection_prepares_nothing`
//! and `order_statements_use_no_sequential_scan`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Int4, Int8, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::error::StorageError;
use super::jobs::{milliseconds, to_payload};
use super::order_jobs::{OrderExpiryJob, PaymentJob, PaymentOperation};
use super::statement::statement;
use crate::domain::event::OrderEvent;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::order::Order;
use crate::telemetry::trace_context;

statement! {
    RecordOrder<'a> {
        order_id: Uuid,
        user_id: Uuid,
        status: &'static str,
        total: i64,
        currency: &'static str,
        now: DateTime<Utc>,
        product_ids: Vec<Uuid>,
        quantities: Vec<i32>,
        unit_prices: Vec<i64>,
        line_totals: Vec<i64>,
        event_id: Uuid,
        event_kind: &'a str,
        event_data: &'a str,
        key: &'a str,
        response_body: &'a str,
        charge: Value,
        expiry: Value,
        payment_window_ms: i64,
        trace_context: Option<String>,
    } returns ();
    "WITH line AS (SELECT * FROM unnest("
        {product_ids: Array<SqlUuid>} "," {quantities: Array<Int4>} ","
        {unit_prices: Array<Int8>} "," {line_totals: Array<Int8>}
        ") WITH ORDINALITY AS line (product_id, quantity, unit_price, line_total, line_no)), \
    placed AS (INSERT INTO orders (id, user_id, status, total_minor, currency, created_at, updated_at) \
        VALUES (" {order_id: SqlUuid} "," {user_id: SqlUuid} "," {status: Text} ","
        {total: Int8} "," {currency: Text} "," {now: Timestamptz} "," {now: Timestamptz} ") \
        RETURNING id, user_id, total_minor, currency, created_at), \
    reserved AS (UPDATE products SET stock = products.stock - line.quantity, \
        version = products.version + 1, updated_at = placed.created_at \
        FROM line, placed WHERE products.id = line.product_id), \
    lines AS (INSERT INTO order_lines \
        (order_id, line_no, product_id, quantity, unit_price_minor, line_total_minor) \
        SELECT placed.id, line_no, product_id, quantity, unit_price, line_total FROM line, placed), \
    event AS (INSERT INTO outbox (event_id, order_id, kind, data, occurred_at, trace_context) \
        SELECT " {event_id: SqlUuid} ", id," {event_kind: Text} "," {event_data: Text} ", created_at, "
        {trace_context: Nullable<Text>} " FROM placed), \
    job AS (INSERT INTO jobs (kind, key, payload, run_at, due_at, trace_context) VALUES \
        ('payment', " {order_id: SqlUuid} "::text," {charge: Jsonb} ", now(), now(),"
            {trace_context: Nullable<Text>} "), \
        ('order_expiry', " {order_id: SqlUuid} "::text," {expiry: Jsonb} ", \
            now() + " {payment_window_ms: Int8} " * interval '1 millisecond', \
            now() + " {payment_window_ms: Int8} " * interval '1 millisecond',"
            {trace_context: Nullable<Text>} ")) \
    UPDATE idempotency_keys SET resource_id = placed.id, response_body = " {response_body: Text} " \
        FROM placed WHERE idempotency_keys.user_id = placed.user_id \
        AND idempotency_keys.key = " {key: Text}
}

/// Inserts `order` with everything that belongs to it. Its products are locked and the key is
/// claimed, in this transaction.
pub(crate) async fn insert(
    mut conn: &AsyncPgConnection,
    order: &Order,
    event: &OrderEvent,
    key: &IdempotencyKey,
    response_body: &str,
    payment_window: Duration,
) -> Result<(), StorageError> {
    let lines = &order.lines;
    RecordOrder {
        order_id: order.id.0,
        user_id: order.user_id.0,
        status: order.status.as_str(),
        total: order.total.minor(),
        currency: order.total.currency().code(),
        now: order.created_at,
        product_ids: lines.iter().map(|line| line.product_id.0).collect(),
        quantities: lines
            .iter()
            .map(|line| line.quantity.get().into())
            .collect(),
        unit_prices: lines.iter().map(|line| line.unit_price.minor()).collect(),
        line_totals: lines.iter().map(|line| line.line_total.minor()).collect(),
        event_id: event.id,
        event_kind: &event.event_type,
        event_data: &event.data,
        key: key.as_str(),
        response_body,
        charge: to_payload(&PaymentJob::new(PaymentOperation::Charge, order))?,
        expiry: to_payload(&OrderExpiryJob { order_id: order.id })?,
        payment_window_ms: milliseconds(payment_window),
        trace_context: trace_context::current_traceparent(),
    }
    .execute(&mut conn)
    .await?;
    Ok(())
}
