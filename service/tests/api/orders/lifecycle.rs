//! Orders: placing, looking at them, and the moves that a person can make.

use insta::assert_json_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::fixtures::id;

#[tokio::test(flavor = "multi_thread")]
async fn placing_order_reserves_stock_and_fixes_prices() {
    let app = TestApp::start().await;
    app.fail_gateway().await;
    let admin = app.create_admin().await;
    let cheap = app.create_product(&admin, 250, 5).await;
    let expensive = app.create_product(&admin, 19_999, 1).await;
    let customer = app.register_customer().await;

    let response = app
        .place_order(&customer, &[(&expensive, 1), (&cheap, 2)])
        .await;
    let order = response.expect(201);
    assert_json_snapshot!(order, {
        ".id" => "[order]",
        ".lines[].product_id" => "[product]",
        ".created_at" => "[time]",
        ".updated_at" => "[time]",
    }, @r#"
    {
      "created_at": "[time]",
      "failure_reason": null,
      "id": "[order]",
      "lines": [
        {
          "line_total": {
            "amount_minor": 19999,
            "currency": "EUR"
          },
          "product_id": "[product]",
          "quantity": 1,
          "unit_price": {
            "amount_minor": 19999,
            "currency": "EUR"
          }
        },
        {
          "line_total": {
            "amount_minor": 500,
            "currency": "EUR"
          },
          "product_id": "[product]",
          "quantity": 2,
          "unit_price": {
            "amount_minor": 250,
            "currency": "EUR"
          }
        }
      ],
      "status": "pending",
      "total": {
        "amount_minor": 20499,
        "currency": "EUR"
      },
      "updated_at": "[time]"
    }
    "#);
    // The lines are in the customer's order, whatever order they were locked in.
    assert_eq!(order["lines"][0]["product_id"], expensive["id"]);
    assert_eq!(order["lines"][1]["product_id"], cheap["id"]);

    let location = format!("/v1/orders/{}", id(&order));
    assert_eq!(response.header("location"), Some(location.as_str()));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("idempotent-replayed"), None);
    assert_eq!(app.get_order(&customer, &order).await, order);
    assert_eq!(app.stock(&expensive).await, 0);
    assert_eq!(app.stock(&cheap).await, 3);

    reprice(&app, &admin, &cheap, 999).await;
    assert_eq!(app.get_order(&customer, &order).await, order);
    app.restore_gateway().await;
    app.finish().await;
}

async fn reprice(app: &TestApp, admin: &str, product: &Value, amount_minor: i64) {
    let path = format!("/v1/products/{}", id(product));
    let etag = app.get(&path, "").await;
    let request = app
        .request(Method::PATCH, &path)
        .header("if-match", etag.header("etag").unwrap())
        .json(&json!({"price": {"amount_minor": amount_minor, "currency": "EUR"}}));
    let changed = send(request, admin).await.expect(200);
    assert_eq!(changed["price"]["amount_minor"], amount_minor);
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_hundred_lines_and_largest_total() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let customer = app.register_customer().await;
    let mut products = Vec::new();
    for _ in 0..100 {
        products.push(app.create_product(&admin, 1, 1000).await);
    }
    let lines: Vec<_> = products.iter().map(|product| (product, 1000)).collect();
    let order = app.place_order(&customer, &lines).await.expect(201);
    assert_eq!(order["total"]["amount_minor"], 100_000);
    assert_eq!(order["lines"].as_array().unwrap().len(), 100);

    let max_price_product = app.create_product(&admin, i64::MAX, 1).await;
    let order = app
        .place_order(&customer, &[(&max_price_product, 1)])
        .await
        .expect(201);
    assert_eq!(order["total"]["amount_minor"], i64::MAX);
    app.wait_for_order_status(&customer, &order, "paid").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_404_for_order_of_another_user() {
    let app = TestApp::start().await;
    app.fail_gateway().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let (customer, other) = (app.register_customer().await, app.register_customer().await);
    let order = app
        .place_order(&customer, &[(&product, 2)])
        .await
        .expect(201);
    let path = format!("/v1/orders/{}", id(&order));
    let unknown_path = format!("/v1/orders/{}", Uuid::now_v7());

    // Not even an admin looks into it, and it looks like one that never was.
    for token in [&other, &admin] {
        let other_order = app.get(&path, token).await.expect_problem(404, "not-found");
        let unknown = app.get(&unknown_path, token).await;
        let unknown = unknown.expect_problem(404, "not-found");
        assert_eq!(other_order["detail"], unknown["detail"]);
        let cancelled = app.transition_order(token, &order, "cancel").await;
        cancelled.expect_problem(404, "not-found");
    }
    assert_eq!(app.get_order(&customer, &order).await, order);
    assert_eq!(app.stock(&product).await, 3);
    app.restore_gateway().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_endpoints_require_authentication() {
    let app = TestApp::start().await;
    let order = format!("/v1/orders/{}", Uuid::now_v7());
    let key = ("idempotency-key", "key");
    for (method, path) in [
        (Method::GET, "/v1/orders".to_owned()),
        (Method::POST, "/v1/orders".to_owned()),
        (Method::GET, order.clone()),
        (Method::POST, format!("{order}/cancel")),
        (Method::POST, format!("{order}/ship")),
    ] {
        let request = app.request(method, &path).header(key.0, key.1);
        let response = send(request.json(&json!({"lines": []})), "").await;
        response.expect_problem(401, "unauthenticated");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_order_restores_stock() {
    let app = TestApp::start().await;
    app.fail_gateway().await;
    let admin = app.create_admin().await;
    let (one, two) = (
        app.create_product(&admin, 250, 5).await,
        app.create_product(&admin, 1, 9).await,
    );
    let customer = app.register_customer().await;
    let lines = [(&one, 2), (&two, 9)];
    let order = app.place_order(&customer, &lines).await.expect(201);
    assert_eq!((app.stock(&one).await, app.stock(&two).await), (3, 0));

    let response = app.transition_order(&customer, &order, "cancel").await;
    let cancelled = response.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["lines"], order["lines"]);
    assert_eq!(cancelled["created_at"], order["created_at"]);
    assert_ne!(cancelled["updated_at"], order["updated_at"]);
    assert_eq!(app.get_order(&customer, &order).await, cancelled);
    assert_eq!((app.stock(&one).await, app.stock(&two).await), (5, 9));
    app.restore_gateway().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_ships_paid_order() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let order = app
        .place_order(&customer, &[(&product, 2)])
        .await
        .expect(201);
    let paid = app.wait_for_order_status(&customer, &order, "paid").await;

    let by_customer = app.transition_order(&customer, &order, "ship").await;
    by_customer.expect_problem(403, "forbidden");
    assert_eq!(app.get_order(&customer, &order).await, paid);
    let unknown = json!({"id": Uuid::now_v7()});
    let response = app.transition_order(&admin, &unknown, "ship").await;
    response.expect_problem(404, "not-found");

    let shipped = app
        .transition_order(&admin, &order, "ship")
        .await
        .expect(200);
    assert_eq!(shipped["status"], "shipped");
    assert_eq!(app.get_order(&customer, &order).await, shipped);
    assert_eq!(app.stock(&product).await, 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_invalid_order_transitions() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 50).await;
    let customer = app.register_customer().await;
    let place = async || {
        app.place_order(&customer, &[(&product, 1)])
            .await
            .expect(201)
    };

    let paid = place().await;
    app.wait_for_order_status(&customer, &paid, "paid").await;
    let shipped = place().await;
    app.wait_for_order_status(&customer, &shipped, "paid").await;
    app.transition_order(&admin, &shipped, "ship")
        .await
        .expect(200);
    app.set_faults(&json!({"decline_rate": 1.0})).await;
    let declined = place().await;
    app.wait_for_order_status(&customer, &declined, "payment_failed")
        .await;
    app.fail_gateway().await;
    let (pending, cancelled) = (place().await, place().await);
    let cancel = app.transition_order(&customer, &cancelled, "cancel").await;
    cancel.expect(200);

    let stock = app.stock(&product).await;
    for (order, status, invalid_transitions) in [
        (&pending, "pending", &["ship"][..]),
        (&paid, "paid", &["cancel"]),
        (&shipped, "shipped", &["cancel", "ship"]),
        (&declined, "payment_failed", &["cancel", "ship"]),
        (&cancelled, "cancelled", &["cancel", "ship"]),
    ] {
        for name in invalid_transitions {
            let token = if *name == "ship" { &admin } else { &customer };
            let response = app.transition_order(token, order, name).await;
            let problem = response.expect_problem(409, "invalid-order-transition");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(status), "{detail}");
            let now = app.get_order(&customer, order).await;
            assert_eq!(now["status"], status);
        }
    }
    assert_eq!(app.stock(&product).await, stock);
    app.restore_gateway().await;
    app.wait_for_order_status(&customer, &pending, "paid").await;
    app.finish().await;
}
