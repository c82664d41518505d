//! `GET /v1/orders`: a customer's own orders, page by page.

use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::fixtures::id;

/// Follows the cursors from the first page to the last and returns the ids.
async fn list_all_ids(app: &TestApp, token: &str, query: &str) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/orders?{query}{cursor}");
        let page = app.get(&path, token).await.expect(200);
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|order| id(order).to_owned()));
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            end => {
                assert!(end.is_null());
                return seen;
            }
        }
        assert!(!items.is_empty(), "a page with nothing on it and a next");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_own_orders_newest_first_in_pages() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 50).await;
    let (customer, other) = (app.register_customer().await, app.register_customer().await);
    let mut placed = Vec::new();
    for _ in 0..5 {
        let order = app
            .place_order(&customer, &[(&product, 1)])
            .await
            .expect(201);
        app.place_order(&other, &[(&product, 1)]).await.expect(201);
        app.wait_for_order_status(&customer, &order, "paid").await;
        placed.insert(0, id(&order).to_owned());
    }
    // A page that is just full, one that is not, and one page for all.
    for limit in [1, 2, 5, 100] {
        let seen = list_all_ids(&app, &customer, &format!("limit={limit}")).await;
        assert_eq!(seen, placed, "limit={limit}");
    }
    let page = app.get("/v1/orders", &customer).await.expect(200);
    for (order, id) in page["items"].as_array().unwrap().iter().zip(&placed) {
        let path = format!("/v1/orders/{id}");
        assert_eq!(&app.get(&path, &customer).await.expect(200), order);
    }

    let newcomer = app.register_customer().await;
    assert!(list_all_ids(&app, &newcomer, "").await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_orders_by_status() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 50).await;
    let customer = app.register_customer().await;
    let place = async || {
        app.place_order(&customer, &[(&product, 1)])
            .await
            .expect(201)
    };
    let (first, second) = (place().await, place().await);
    for order in [&first, &second] {
        app.wait_for_order_status(&customer, order, "paid").await;
    }
    app.fail_gateway().await;
    let (pending, cancelled) = (place().await, place().await);
    let cancel = app.transition_order(&customer, &cancelled, "cancel").await;
    cancel.expect(200);

    for (status, expected) in [
        ("paid", vec![id(&second), id(&first)]),
        ("pending", vec![id(&pending)]),
        ("cancelled", vec![id(&cancelled)]),
        ("shipped", vec![]),
        ("payment_failed", vec![]),
    ] {
        let seen = list_all_ids(&app, &customer, &format!("status={status}&limit=1")).await;
        assert_eq!(seen, expected, "{status}");
    }
    app.restore_gateway().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_invalid_order_list_query() {
    let app = TestApp::start().await;
    let customer = app.register_customer().await;
    for (query, errors) in [
        ("status=unpaid", &[("/status", "unknown_status")][..]),
        ("status=", &[("/status", "unknown_status")]),
        ("status=Paid", &[("/status", "unknown_status")]),
        ("limit=0", &[("/limit", "out_of_range")]),
        ("limit=101", &[("/limit", "out_of_range")]),
        ("limit=ten", &[("/limit", "wrong_type")]),
        ("cursor=nonsense", &[("/cursor", "invalid_cursor")]),
        ("stauts=paid", &[("/stauts", "unknown_field")]),
        (
            "limit=0&cursor=x&status=y",
            &[
                ("/limit", "out_of_range"),
                ("/cursor", "invalid_cursor"),
                ("/status", "unknown_status"),
            ],
        ),
    ] {
        let path = format!("/v1/orders?{query}");
        app.get(&path, &customer).await.expect_invalid(errors);
    }
    app.finish().await;
}
