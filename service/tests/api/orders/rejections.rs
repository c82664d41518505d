//! Orders that are not taken, for every reason there is; none leaves a trace.

use std::time::Duration;

use chrono::Utc;
use orderly::domain::ids::UserId;
use orderly::domain::user::Role;
use orderly::secrets::tokens::Identity;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::answer::Answer;
use crate::support::app::{TestApp, send};
use crate::support::sql::texts;

/// A shop with an admin and a customer.
struct Shop {
    app: TestApp,
    admin: String,
    customer: String,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start().await;
        let admin = app.admin().await;
        let customer = app.customer().await;
        Self {
            app,
            admin,
            customer,
        }
    }

    /// Sends the body and checks that, whatever the answer, nothing has changed.
    async fn refuses(&self, body: &Value) -> Answer {
        let before = self.footprint().await;
        let key = Uuid::now_v7().to_string();
        let request = self
            .app
            .order_request(&key, &[])
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = send(request, &self.customer).await;
        assert!(answer.status >= 400, "{}", answer.text);
        assert_eq!(self.footprint().await, before, "a refusal left a trace");
        answer
    }

    /// All that an order touches.
    async fn footprint(&self) -> Vec<String> {
        let everything = "SELECT id || ' ' || stock || ' ' || version AS value FROM products \
            UNION ALL SELECT 'orders ' || count(*) FROM orders \
            UNION ALL SELECT 'lines ' || count(*) FROM order_lines \
            UNION ALL SELECT 'keys ' || count(*) FROM idempotency_keys \
            UNION ALL SELECT 'jobs ' || count(*) FROM payment_jobs \
            UNION ALL SELECT 'events ' || count(*) FROM outbox ORDER BY 1";
        texts(&mut self.app.database.connect().await, everything).await
    }

    async fn product(&self, price_minor: i64, stock: i64) -> Value {
        self.app.product(&self.admin, price_minor, stock).await
    }
}

fn lines(lines: &[(&Value, i64)]) -> Value {
    let line = |(product, quantity): &(&Value, i64)| json!({"product_id": product["id"], "quantity": quantity});
    json!({"lines": lines.iter().map(line).collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_every_unknown_product() {
    let shop = Shop::open().await;
    let known = shop.product(250, 5).await;
    let unknown = || json!({"id": Uuid::now_v7()});
    let body = lines(&[(&unknown(), 1), (&known, 1), (&unknown(), 1)]);
    shop.refuses(&body).await.expect_invalid(&[
        ("/lines/0/product_id", "unknown_product"),
        ("/lines/2/product_id", "unknown_product"),
    ]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_every_line_out_of_stock_with_remaining_stock() {
    let shop = Shop::open().await;
    let (plenty, few, none) = (
        shop.product(250, 100).await,
        shop.product(250, 3).await,
        shop.product(250, 0).await,
    );
    let body = lines(&[(&few, 4), (&plenty, 100), (&none, 1)]);
    let problem = shop
        .refuses(&body)
        .await
        .expect_problem(409, "out-of-stock");
    assert_eq!(
        problem["errors"],
        json!([
            {"pointer": "/lines/0/quantity", "code": "out_of_stock", "message": "only 3 left"},
            {"pointer": "/lines/2/quantity", "code": "out_of_stock", "message": "only 0 left"},
        ])
    );
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_order_with_mixed_currencies() {
    let shop = Shop::open().await;
    let euros = shop.product(250, 5).await;
    let body = json!({
        "sku": "DOLLARS", "name": "Thing", "stock": 5,
        "price": {"amount_minor": 250, "currency": "USD"},
    });
    let dollars = shop.app.post("/v1/products", &shop.admin, &body).await;
    let dollars = dollars.expect(201);
    shop.refuses(&lines(&[(&euros, 1), (&dollars, 1)]))
        .await
        .expect_invalid(&[("/lines/1/product_id", "mixed_currency")]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_total_that_overflows() {
    let shop = Shop::open().await;
    let (priceless, cent) = (
        shop.product(i64::MAX, 1000).await,
        shop.product(1, 1000).await,
    );
    // In a line, where 2 * MAX wraps to -2, and in the sum, where it wraps to MIN.
    for (body, pointer) in [
        (lines(&[(&cent, 1), (&priceless, 2)]), "/lines/1"),
        (lines(&[(&priceless, 1), (&cent, 1)]), "/lines/1"),
        (lines(&[(&priceless, 1000)]), "/lines/0"),
    ] {
        let answer = shop.refuses(&body).await;
        answer.expect_invalid(&[(pointer, "total_too_large")]);
    }
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_1_to_100_lines_without_duplicate_product() {
    let shop = Shop::open().await;
    let product = shop.product(250, 1000).await;
    let out_of_range = [("/lines", "out_of_range")];
    shop.refuses(&lines(&[]))
        .await
        .expect_invalid(&out_of_range);
    let many: Vec<Value> = (0..101).map(|_| json!({"id": Uuid::now_v7()})).collect();
    let many: Vec<_> = many.iter().map(|product| (product, 1)).collect();
    shop.refuses(&lines(&many))
        .await
        .expect_invalid(&out_of_range);

    let other = shop.product(250, 1000).await;
    shop.refuses(&lines(&[(&product, 1), (&other, 1), (&product, 1)]))
        .await
        .expect_invalid(&[("/lines/2/product_id", "duplicate_product")]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quantity_must_be_integer_from_1_to_1000() {
    let shop = Shop::open().await;
    let product = shop.product(250, 1000).await;
    let with = |quantity: &str| {
        let quantity: Value = serde_json::from_str(quantity).unwrap();
        json!({"lines": [{"product_id": product["id"], "quantity": quantity}]})
    };
    for quantity in ["0", "1001", "-1", "65537", "9223372036854775807"] {
        let answer = shop.refuses(&with(quantity)).await;
        answer.expect_invalid(&[("/lines/0/quantity", "out_of_range")]);
    }
    for quantity in [
        "9223372036854775808",
        "1e300",
        "1.5",
        "\"1\"",
        "null",
        "true",
    ] {
        let answer = shop.refuses(&with(quantity)).await;
        answer.expect_invalid(&[("/lines/0/quantity", "wrong_type")]);
    }
    let body = lines(&[(&product, 0), (&json!({"id": Uuid::now_v7()}), 1001)]);
    shop.refuses(&body).await.expect_invalid(&[
        ("/lines/0/quantity", "out_of_range"),
        ("/lines/1/quantity", "out_of_range"),
    ]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_order_body_of_other_shape() {
    let shop = Shop::open().await;
    let product = shop.product(250, 1000).await;
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
        shop.refuses(&body).await.expect_invalid(errors);
    }
    let no_uuid = json!({"lines": [{"product_id": "SKU-1", "quantity": 1}]});
    let refusal = shop.refuses(&no_uuid).await.json();
    assert_eq!(refusal["errors"][0]["message"], "must be a UUID");
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_503_with_retry_after_for_locked_product() {
    let app = TestApp::start_with(|settings| {
        settings.database.lock_timeout = Duration::from_millis(100);
        settings.orders.idempotency_wait_timeout = Duration::from_millis(50);
    })
    .await;
    let admin = app.admin().await;
    let customer = app.customer().await;
    let shop = Shop {
        app,
        admin,
        customer,
    };
    let product = shop.product(250, 5).await;
    let locked = shop.app.database.lock("SELECT * FROM products").await;
    let answer = shop.refuses(&lines(&[(&product, 1)])).await;
    answer.expect_problem(503, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
    locked.release().await;
    let order = shop.app.order(&shop.customer, &[(&product, 1)]).await;
    order.expect(201);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_order_of_deleted_user() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 5).await;
    let nobody = Identity {
        user_id: UserId::new(Utc::now()),
        role: Role::Customer,
    };
    let token = app
        .app
        .services
        .tokens
        .issue(nobody, Utc::now())
        .unwrap()
        .token;

    let answer = app.order(&token, &[(&product, 1)]).await;

    answer.expect_problem(404, "not-found");
    app.finish().await;
}
