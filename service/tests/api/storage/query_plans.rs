//! How Postgres goes about the statements of an order once the tables are large: by index, whatever
//! the values are. The plan is made once and kept (`plan_cache_mode`), so it had better be a good one.

use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use orderly::config::OrdersConfig;
use orderly::usecases::place_order::place_order_on;

use super::round_trips::{request, response_body, user_id};
use crate::support::app::TestApp;
use crate::support::sql::query_texts;

#[derive(diesel::QueryableByName)]
struct PlanLine {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    text: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn order_statements_use_no_sequential_scan() {
    let app = TestApp::start().await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let user_id = user_id(&app, &app.register_customer().await).await;
    let request = request(user_id, "key", &[product]);
    let mut conn = app.database.connect().await;
    let large = format!(
        "INSERT INTO products (id, sku, name, price_minor, currency, stock, stock_received, created_at, updated_at)
         SELECT gen_random_uuid(), 'LARGE-' || n, 'Oak Lamp', 100, 'EUR', 1, 1, now(), now() FROM generate_series(1, 5000) n;
         INSERT INTO idempotency_keys (user_id, key, fingerprint, created_at, expires_at)
         SELECT '{}', 'large-' || n, sha256('large'), now(), now() + interval '1 day' FROM generate_series(1, 5000) n;
         ANALYZE; SET plan_cache_mode = force_generic_plan",
        user_id.0
    );
    conn.batch_execute(&large).await.unwrap();
    for _ in 0..2 {
        let placed =
            place_order_on(&mut conn, &OrdersConfig::default(), &request, response_body).await;
        placed.unwrap();
    }

    // Of all that the connection has prepared, with no values at all.
    let explain = "SELECT format('EXPLAIN EXECUTE %I(%s)', name,
            array_to_string(array_fill('NULL'::text, ARRAY[cardinality(parameter_types)]), ',')) AS value
        FROM pg_prepared_statements WHERE statement ~ 'products|idempotency_keys'
        AND statement !~ 'pg_prepared_statements|generate_series'";
    let explains = query_texts(&mut conn, explain).await;
    assert_eq!(explains.len(), 4, "claim, lock, record, stored answer");
    for explain in explains {
        let plan: Vec<PlanLine> = sql_query(explain).load(&mut conn).await.unwrap();
        let plan: Vec<String> = plan.into_iter().map(|line| line.text).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("Index") || plan.contains("Insert"), "{plan}");
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
    app.finish().await;
}
