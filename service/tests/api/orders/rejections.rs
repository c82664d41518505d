//! Orders that are not taken, for every reason there is; none leaves a trace.

use std::time::Duration;

use chrono::Utc;
use orderly::domain::ids::UserId;
use orderly::domain::user::Role;
use orderly::secrets::tokens::Identity;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::response::TestResponse;
use crate::support::sql::query_texts;

/// A shop with an admin and a customer.
struct RejectionTest {
    app: TestApp,
    admin: String,
    customer: String,
}

impl RejectionTest {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let admin = app.create_admin().await;
        let customer = app.register_customer().await;
        Self {
            app,
            admin,
            customer,
        }
    }

    /// Sends the body and checks that, whatever the answer, nothing has changed.
    async fn assert_rejected(&self, body: &Value) -> TestResponse {
        let before = self.stored_state().await;
        let key = Uuid::now_v7().to_string();
        let request = self.app.order_request(&key, &[]).body(body.to_string());
        let response = send(request, &self.customer).await;
        assert!(response.status >= 400, "{}", response.text);
        assert_eq!(self.stored_state().await, before, "a refusal left a trace");
        response
    }

    /// All that an order touches.
    async fn stored_state(&self) -> Vec<String> {
        let everything = "SELECT id || ' ' || stock || ' ' || version AS value FROM products \
            UNION ALL SELECT 'orders ' || count(*) FROM orders \
            UNION ALL SELECT 'lines ' || count(*) FROM order_lines \
            UNION ALL SELECT 'keys ' || count(*) FROM idempotency_keys \
            UNION ALL SELECT 'jobs ' || count(*) FROM jobs \
            UNION ALL SELECT 'events ' || count(*) FROM outbox ORDER BY 1";
        query_texts(&mut self.app.database.connect().await, everything).await
    }

    async fn create_product(&self, price_minor: i64, stock: i64) -> Value {
        self.app
            .create_product(&self.admin, price_minor, stock)
            .await
    }
}

fn lines(lines: &[(&Value, i64)]) -> Value {
    let line = |(product, quantity): &(&Value, i64)| json!({"product_id": product["id"], "quantity": quantity});
    json!({"lines": lines.iter().map(line).collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_every_unknown_product() {
    let test = RejectionTest::start().await;
    let known = test.create_product(250, 5).await;
    let unknown = || json!({"id": Uuid::now_v7()});
    let body = lines(&[(&unknown(), 1), (&known, 1), (&unknown(), 1)]);
    test.assert_rejected(&body).await.expect_invalid(&[
        ("/lines/0/product_id", "unknown_product"),
        ("/lines/2/product_id", "unknown_product"),
    ]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_every_line_out_of_stock_with_remaining_stock() {
    let test = RejectionTest::start().await;
    let (plenty, few, none) = (
        test.create_product(250, 100).await,
        test.create_product(250, 3).await,
        test.create_product(250, 0).await,
    );
    let body = lines(&[(&few, 4), (&plenty, 100), (&none, 1)]);
    let problem = test
        .assert_rejected(&body)
        .await
        .expect_problem(409, "out-of-stock");
    assert_eq!(
        problem["errors"],
        json!([
            {"pointer": "/lines/0/quantity", "code": "out_of_stock", "message": "only 3 left"},
            {"pointer": "/lines/2/quantity", "code": "out_of_stock", "message": "only 0 left"},
        ])
    );
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_order_with_mixed_currencies() {
    let test = RejectionTest::start().await;
    let euros = test.create_product(250, 5).await;
    let body = json!({
        "sku": "DOLLARS", "name": "Thing", "stock": 5,
        "price": {"amount_minor": 250, "currency": "USD"},
    });
    let dollars = test.app.post("/v1/products", &test.admin, &body).await;
    let dollars = dollars.expect(201);
    test.assert_rejected(&lines(&[(&euros, 1), (&dollars, 1)]))
        .await
        .expect_invalid(&[("/lines/1/product_id", "mixed_currency")]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_total_that_overflows() {
    let test = RejectionTest::start().await;
    let (priceless, cent) = (
        test.create_product(i64::MAX, 1000).await,
        test.create_product(1, 1000).await,
    );
    // In a line, where 2 * MAX wraps to -2, and in the sum, where it wraps to MIN.
    for (body, pointer) in [
        (lines(&[(&cent, 1), (&priceless, 2)]), "/lines/1"),
        (lines(&[(&priceless, 1), (&cent, 1)]), "/lines/1"),
        (lines(&[(&priceless, 1000)]), "/lines/0"),
    ] {
        let response = test.assert_rejected(&body).await;
        response.expect_invalid(&[(pointer, "total_too_large")]);
    }
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_1_to_100_lines_without_duplicate_product() {
    let test = RejectionTest::start().await;
    let product = test.create_product(250, 1000).await;
    let out_of_range = [("/lines", "out_of_range")];
    test.assert_rejected(&lines(&[]))
        .await
        .expect_invalid(&out_of_range);
    let many: Vec<Value> = (0..101).map(|_| json!({"id": Uuid::now_v7()})).collect();
    let many: Vec<_> = many.iter().map(|product| (product, 1)).collect();
    test.assert_rejected(&lines(&many))
        .await
        .expect_invalid(&out_of_range);

    let other = test.create_product(250, 1000).await;
    test.assert_rejected(&lines(&[(&product, 1), (&other, 1), (&product, 1)]))
        .await
        .expect_invalid(&[("/lines/2/product_id", "duplicate_product")]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quantity_must_be_integer_from_1_to_1000() {
    let test = RejectionTest::start().await;
    let product = test.create_product(250, 1000).await;
    let with = |quantity: &str| {
        let quantity: Value = serde_json::from_str(quantity).unwrap();
        json!({"lines": [{"product_id": product["id"], "quantity": quantity}]})
    };
    for quantity in ["0", "1001", "-1", "65537", "9223372036854775807"] {
        let response = test.assert_rejected(&with(quantity)).await;
        response.expect_invalid(&[("/lines/0/quantity", "out_of_range")]);
    }
    for quantity in [
        "9223372036854775808",
        "1e300",
        "1.5",
        "\"1\"",
        "null",
        "true",
    ] {
        let response = test.assert_rejected(&with(quantity)).await;
        response.expect_invalid(&[("/lines/0/quantity", "wrong_type")]);
    }
    let body = lines(&[(&product, 0), (&json!({"id": Uuid::now_v7()}), 1001)]);
    test.assert_rejected(&body).await.expect_invalid(&[
        ("/lines/0/quantity", "out_of_range"),
        ("/lines/1/quantity", "out_of_range"),
    ]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_order_body_of_other_shape() {
    let test = RejectionTest::start().await;
    let product = test.create_product(250, 1000).await;
    let id = &product["id"];
    for (body, errors) in [
        (json!({}), &[("/lines", "missing")][..]),
        (json!({"lines": null}), &[("/lines", "wrong_type")]),
        (
            json!({"lines": [{"quantity": 1}]}),
            &[("/lines/0/product_id", "missing")],
        ),
        (
            json!({"lines": [{"product_id": id}]}),
            &[("/lines/0/quantity", "missing")],
        ),
        (
            json!({"lines": [{"product_id": "SKU-1", "quantity": 1}]}),
            &[("/lines/0/product_id", "wrong_type")],
        ),
        (
            json!({"lines": [{"product_id": id, "quantity": 1, "price": 1}]}),
            &[("/lines/0/price", "unknown_field")],
        ),
        (
            json!({"lines": [], "user_id": id}),
            &[("/user_id", "unknown_field")],
        ),
    ] {
        test.assert_rejected(&body).await.expect_invalid(errors);
    }
    let no_uuid = json!({"lines": [{"product_id": "SKU-1", "quantity": 1}]});
    let rejection = test.assert_rejected(&no_uuid).await.json();
    assert_eq!(rejection["errors"][0]["message"], "must be a UUID");
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_503_with_retry_after_for_locked_product() {
    let app = TestApp::start_with(|settings| {
        settings.database.lock_timeout = Duration::from_millis(100);
        settings.orders.idempotency_wait_timeout = Duration::from_millis(50);
    })
    .await;
    let admin = app.create_admin().await;
    let customer = app.register_customer().await;
    let test = RejectionTest {
        app,
        admin,
        customer,
    };
    let product = test.create_product(250, 5).await;
    let locked = test.app.database.lock_rows("SELECT * FROM products").await;
    let response = test.assert_rejected(&lines(&[(&product, 1)])).await;
    response.expect_problem(503, "overloaded");
    assert_eq!(response.header("retry-after"), Some("1"));
    locked.release().await;
    let order = test.app.place_order(&test.customer, &[(&product, 1)]).await;
    order.expect(201);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_order_of_deleted_user() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let unknown = Identity {
        user_id: UserId::new(Utc::now()),
        role: Role::Customer,
    };
    let token = app
        .app
        .services
        .tokens
        .issue(unknown, Utc::now())
        .unwrap()
        .token;

    let response = app.place_order(&token, &[(&product, 1)]).await;

    response.expect_problem(404, "not-found");
    app.finish().await;
}
