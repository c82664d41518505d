//! The order transaction in plain statements: what `storage/place_order_statement.rs` does, to be
//! read one step after the other. Both leave the same rows.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _,
};
use orderly::config::OrdersConfig;
use orderly::domain::basket::{Basket, BasketLine, Quantity};
use orderly::domain::idempotency::IdempotencyKey;
use orderly::domain::ids::{OrderId, ProductId, UserId};
use orderly::storage::schema::{idempotency_keys, jobs, order_lines, orders, outbox, products};
use orderly::usecases::place_order::{PlaceOrder, place_order_on};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::{Uuid, uuid};

use super::round_trips::response_body;
use crate::support::database::TestDatabase;
use crate::support::sql::query_texts;

const USER: Uuid = uuid!("00000000-0000-7000-8000-000000000001");
const LAMP: Uuid = uuid!("00000000-0000-7000-8000-0000000000a1");
const CHAIR: Uuid = uuid!("00000000-0000-7000-8000-0000000000a2");
const UNORDERED: Uuid = uuid!("00000000-0000-7000-8000-0000000000a3");

const KEY: &str = "key";

/// Not in the order of their ids.
const LINES: [(Uuid, u16); 2] = [(CHAIR, 3), (LAMP, 1)];

#[tokio::test(flavor = "multi_thread")]
async fn plain_statements_leave_same_rows() {
    let began = Utc::now();
    let (plain, actual) = (TestDatabase::new().await, TestDatabase::new().await);
    let mut conn = plain.connect().await;
    insert_fixtures(&mut conn).await;
    let order_id = place_order_plainly(&mut conn).await.unwrap();
    let plain_rows = rows_of_all_tables(&mut conn, order_id, began).await;

    let mut conn = actual.connect().await;
    insert_fixtures(&mut conn).await;
    let config = OrdersConfig::default();
    let placed = place_order_on(&mut conn, &config, &request(), response_body).await;
    let order_id = placed.unwrap().order_id;
    let actual_rows = rows_of_all_tables(&mut conn, order_id, began).await;

    assert_eq!(plain_rows["orders"].len(), 1);
    assert_eq!(plain_rows["order_lines"].len(), LINES.len());
    for (table, rows) in &actual_rows {
        assert_eq!(rows, &plain_rows[table], "{table}");
    }
}

async fn place_order_plainly(conn: &mut AsyncPgConnection) -> QueryResult<Uuid> {
    let now = Utc::now();
    let order_id = OrderId::new(now).0;
    conn.transaction(async |conn| {
        // The key. Another request with the same key waits here.
        diesel::insert_into(idempotency_keys::table)
            .values((
                idempotency_keys::user_id.eq(USER),
                idempotency_keys::key.eq(KEY),
                idempotency_keys::fingerprint.eq(fingerprint()),
                idempotency_keys::created_at.eq(now),
                idempotency_keys::expires_at.eq(now + Duration::hours(24)),
            ))
            .execute(conn)
            .await?;

        // The products, locked in id order. Another order of one of them waits here.
        let prices: Vec<(Uuid, i64)> = products::table
            .filter(products::id.eq_any(LINES.map(|(product, _)| product)))
            .order(products::id)
            .for_no_key_update()
            .select((products::id, products::price_minor))
            .load(conn)
            .await?;
        let prices: BTreeMap<Uuid, i64> = prices.into_iter().collect();
        let total: i64 = LINES
            .iter()
            .map(|(product, n)| prices[product] * i64::from(*n))
            .sum();

        diesel::insert_into(orders::table)
            .values((
                orders::id.eq(order_id),
                orders::user_id.eq(USER),
                orders::status.eq("pending"),
                orders::total_minor.eq(total),
                orders::currency.eq("EUR"),
                orders::created_at.eq(now),
                orders::updated_at.eq(now),
            ))
            .execute(conn)
            .await?;

        for (line_no, (product, quantity)) in (1..).zip(LINES) {
            let quantity = i32::from(quantity);
            diesel::insert_into(order_lines::table)
                .values((
                    order_lines::order_id.eq(order_id),
                    order_lines::line_no.eq(line_no),
                    order_lines::product_id.eq(product),
                    order_lines::quantity.eq(quantity),
                    order_lines::unit_price_minor.eq(prices[&product]),
                    order_lines::line_total_minor.eq(prices[&product] * i64::from(quantity)),
                ))
                .execute(conn)
                .await?;
            diesel::update(products::table.find(product))
                .set((
                    products::stock.eq(products::stock - quantity),
                    products::version.eq(products::version + 1),
                    products::updated_at.eq(now),
                ))
                .execute(conn)
                .await?;
        }

        diesel::insert_into(outbox::table)
            .values((
                outbox::event_id.eq(Uuid::now_v7()),
                outbox::order_id.eq(order_id),
                outbox::kind.eq("order.placed"),
                outbox::data.eq(event_data(order_id, &prices, total).to_string()),
                outbox::occurred_at.eq(now),
            ))
            .execute(conn)
            .await?;

        let charge = json!({
            "operation": "charge",
            "order_id": order_id,
            "amount_minor": total,
            "currency": "EUR",
        });
        let expiry = json!({"order_id": order_id});
        let payment_window = Duration::hours(24);
        for (kind, payload, due_at) in [
            ("payment", charge, now),
            ("order_expiry", expiry, now + payment_window),
        ] {
            diesel::insert_into(jobs::table)
                .values((
                    jobs::kind.eq(kind),
                    jobs::key.eq(order_id.to_string()),
                    jobs::payload.eq(payload),
                    jobs::run_at.eq(due_at),
                    jobs::due_at.eq(due_at),
                ))
                .execute(conn)
                .await?;
        }

        // The response, for a request that is sent again with the same key.
        diesel::update(idempotency_keys::table.find((USER, KEY)))
            .set((
                idempotency_keys::resource_id.eq(order_id),
                idempotency_keys::response_body.eq(json!({"id": order_id}).to_string()),
            ))
            .execute(conn)
            .await?;
        Ok(order_id)
    })
    .await
}

fn fingerprint() -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update("place_order");
    for (product, quantity) in LINES {
        hash.update(product);
        hash.update(quantity.to_be_bytes());
    }
    hash.finalize().to_vec()
}

fn event_data(order_id: Uuid, prices: &BTreeMap<Uuid, i64>, total: i64) -> Value {
    let lines = LINES.map(|(product, quantity)| {
        json!({
            "product_id": product,
            "quantity": quantity,
            "unit_price_minor": prices[&product],
        })
    });
    json!({
        "order_id": order_id,
        "user_id": USER,
        "status": "pending",
        "failure_reason": null,
        "lines": lines,
        "total_minor": total,
        "currency": "EUR",
    })
}

fn request() -> PlaceOrder {
    let line = |(product, quantity): (Uuid, u16)| BasketLine {
        product_id: ProductId(product),
        quantity: Quantity::new(quantity.into()).unwrap(),
    };
    PlaceOrder {
        user_id: UserId(USER),
        basket: Basket::new(LINES.map(line).to_vec()).unwrap(),
        idempotency_key: IdempotencyKey::parse(KEY.as_bytes()).unwrap(),
    }
}

async fn insert_fixtures(conn: &mut AsyncPgConnection) {
    let fixtures = format!(
        "INSERT INTO users (id, email, name, password_hash, created_at, updated_at)
             VALUES ('{USER}', 'customer@example.com', 'Customer', 'none', '2026-01-01', '2026-01-01');
         INSERT INTO products (id, sku, name, price_minor, currency, stock, stock_received, created_at, updated_at)
             SELECT id::uuid, id, 'Thing', price, 'EUR', 10, 10, '2026-01-01', '2026-01-01'
             FROM (VALUES ('{LAMP}', 1250), ('{CHAIR}', 4999), ('{UNORDERED}', 1)) AS product (id, price)"
    );
    conn.batch_execute(&fixtures).await.unwrap();
}

/// Returns the rows of every table. Ids and times, which differ from order to order, are replaced by
/// what they stand for.
async fn rows_of_all_tables(
    conn: &mut AsyncPgConnection,
    order_id: Uuid,
    began: DateTime<Utc>,
) -> BTreeMap<String, Vec<Value>> {
    let tables = "SELECT table_name::text AS value FROM information_schema.tables
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE'";
    let mut rows_of = BTreeMap::new();
    for table in query_texts(conn, tables).await {
        let rows = format!("SELECT to_jsonb(t)::text AS value FROM {table} t");
        let rows = query_texts(conn, &rows).await;
        let mut rows: Vec<Value> = (rows.iter())
            .map(|row| normalize(serde_json::from_str(row).unwrap(), order_id, began))
            .collect();
        rows.sort_by_key(Value::to_string);
        rows_of.insert(table, rows);
    }
    rows_of
}

fn normalize(value: Value, order_id: Uuid, began: DateTime<Utc>) -> Value {
    match value {
        Value::Object(fields) => (fields.into_iter())
            .map(|(name, value)| (name, normalize(value, order_id, began)))
            .collect(),
        Value::Array(items) => (items.into_iter())
            .map(|item| normalize(item, order_id, began))
            .collect(),
        Value::String(text) => normalize_text(text, order_id, began),
        other => other,
    }
}

fn normalize_text(text: String, order_id: Uuid, began: DateTime<Utc>) -> Value {
    if let Ok(uuid) = Uuid::parse_str(&text) {
        return match uuid {
            USER | LAMP | CHAIR | UNORDERED => json!(text),
            _ if uuid == order_id => json!("id of the order"),
            _ => json!("another id"),
        };
    }
    if let Ok(time) = text.parse::<DateTime<Utc>>() {
        let hours = (time - began).as_seconds_f64() / 3600.0;
        return json!(format!("{} h from the test", hours.round()));
    }
    match serde_json::from_str(&text) {
        Ok(json @ Value::Object(_)) => normalize(json, order_id, began),
        _ => Value::String(text),
    }
}
