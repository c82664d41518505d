//! Keeping the catalogue: what an admin may enter and change, and nobody else.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::fixtures::id;
use crate::support::response::TestResponse;

fn lamp() -> Value {
    json!({
        "sku": "LAMP-1", "name": "Lamp", "stock": 10,
        "price": {"amount_minor": 1250, "currency": "EUR"},
    })
}

fn path_of(product: &Value) -> String {
    format!("/v1/products/{}", id(product))
}

fn change_request(app: &TestApp, product: &Value, tags: &str, change: &Value) -> RequestBuilder {
    app.request(Method::PATCH, &path_of(product))
        .header("if-match", tags)
        .json(change)
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_creates_product_visible_to_all() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let response = app.post("/v1/products", &admin, &lamp()).await;
    let product = response.expect(201);
    assert_eq!(response.header("etag"), Some("\"1\""));
    assert_eq!(
        response.header("location"),
        Some(path_of(&product).as_str())
    );
    let stored = app.get(&path_of(&product), "").await.expect(200);
    assert_eq!(stored, product);
    for (field, value) in lamp().as_object().unwrap() {
        assert_eq!(&product[field], value);
    }

    let mut other = lamp();
    other["name"] = json!("Another lamp");
    app.post("/v1/products", &admin, &other)
        .await
        .expect_problem(409, "sku-taken");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_can_change_catalogue() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let customer = app.register_customer().await;
    let product = app.create_product(&admin, 250, 5).await;
    let stock = format!("{}/stock", path_of(&product));
    let requests = || {
        [
            app.request(Method::POST, "/v1/products").json(&lamp()),
            change_request(&app, &product, "\"1\"", &json!({"name": "Mine"})),
            app.request(Method::POST, &stock).json(&json!({"delta": 1})),
        ]
    };
    for request in requests() {
        let response = send(request, "").await;
        response.expect_problem(401, "unauthenticated");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
    }
    for request in requests() {
        let response = send(request, &customer).await;
        response.expect_problem(403, "forbidden");
    }
    let stored = app.get(&path_of(&product), "").await.expect(200);
    assert_eq!(stored, product);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validates_each_field_of_product() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    for (pointer, value, code) in [
        ("/sku", json!(" "), "blank"),
        ("/sku", json!("x".repeat(65)), "too_long"),
        ("/sku", json!("A\u{0}"), "control_character"),
        ("/name", json!(""), "blank"),
        ("/name", json!("x".repeat(201)), "too_long"),
        ("/name", json!("A\u{0}"), "control_character"),
        ("/stock", json!(-1), "out_of_range"),
        ("/stock", json!(1_000_000_001), "out_of_range"),
        ("/stock", json!(i64::MAX), "out_of_range"),
        ("/stock", json!(u64::MAX), "wrong_type"),
        ("/stock", json!(1.0), "wrong_type"),
        ("/stock", json!("1"), "wrong_type"),
        ("/price/amount_minor", json!(0), "not_positive"),
        ("/price/amount_minor", json!(-1), "not_positive"),
        ("/price/amount_minor", json!(u64::MAX), "wrong_type"),
        ("/price/amount_minor", json!(12.5), "wrong_type"),
        ("/price/amount_minor", json!("1250"), "wrong_type"),
        ("/price/currency", json!("eur"), "unknown_currency"),
        ("/price/currency", json!("EURO"), "unknown_currency"),
        ("/price/currency", json!("EU"), "unknown_currency"),
        ("/price/currency", json!(""), "unknown_currency"),
        ("/price/currency", json!(" EUR"), "unknown_currency"),
        ("/price/currency", json!("E\u{0}R"), "unknown_currency"),
        // The Deutsche Mark is no more, gold is none, and XXX is for tests.
        ("/price/currency", json!("DEM"), "unknown_currency"),
        ("/price/currency", json!("XAU"), "unknown_currency"),
        ("/price/currency", json!("XXX"), "unknown_currency"),
        ("/price/currency", json!(978), "wrong_type"),
        ("/price", json!(1250), "wrong_type"),
    ] {
        let mut body = lamp();
        *body.pointer_mut(pointer).unwrap() = value;
        let response = app.post("/v1/products", &admin, &body).await;
        assert_eq!(response.status, 422, "{body}: {}", response.text);
        response.expect_invalid(&[(pointer, code)]);
    }
    let mut body = lamp();
    body["price"]["cents"] = json!(1);
    app.post("/v1/products", &admin, &body)
        .await
        .expect_invalid(&[("/price/cents", "unknown_field")]);
    body = json!({
        "sku": "", "name": "", "stock": -1, "price": {"amount_minor": 0, "currency": "EUR"},
    });
    app.post("/v1/products", &admin, &body)
        .await
        .expect_invalid(&[
            ("/sku", "blank"),
            ("/name", "blank"),
            ("/price/amount_minor", "not_positive"),
            ("/stock", "out_of_range"),
        ]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_product_at_limits() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    for (sku, amount, currency, stock) in [
        ("x", 1, "JPY", 0),
        (&*"é".repeat(64), i64::MAX, "KWD", 1_000_000_000),
    ] {
        let price = json!({"amount_minor": amount, "currency": currency});
        let body = json!({"sku": sku, "name": "é".repeat(200), "price": price, "stock": stock});
        let product = app.post("/v1/products", &admin, &body).await.expect(201);
        assert_eq!(
            (&product["price"], &product["stock"]),
            (&price, &json!(stock))
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_product_with_matching_etag() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let price = json!({"amount_minor": 300, "currency": "USD"});
    for (tags, change, etag) in [
        ("\"1\"", json!({"name": "Other"}), "\"2\""),
        ("\"2\"", json!({ "price": price }), "\"3\""),
        ("\"7\", \"3\"", json!({"name": "Third"}), "\"4\""),
        ("*", json!({"name": "Last"}), "\"5\""),
        // Nothing changes: nor does the version.
        ("\"5\"", json!({}), "\"5\""),
    ] {
        let response = send(change_request(&app, &product, tags, &change), &admin).await;
        let changed = response.expect(200);
        assert_eq!(response.header("etag"), Some(etag));
        for (field, value) in change.as_object().unwrap() {
            assert_eq!(&changed[field], value);
        }
        let stored = app.get(&path_of(&product), "").await.expect(200);
        assert_eq!(stored, changed);
    }
    let last = app.get(&path_of(&product), "").await.expect(200);
    assert_eq!((&last["name"], &last["price"]), (&json!("Last"), &price));
    assert!(last["updated_at"].as_str() > product["updated_at"].as_str());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_product_update_without_matching_etag() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let change = json!({"name": "Other"});
    app.patch(&path_of(&product), &admin, &change)
        .await
        .expect_problem(428, "precondition-required");
    // Stale, weak (RFC 9110, section 13.1.1: never for a change), or no tag at all.
    for tags in [
        "\"2\"",
        "\"0\"",
        "W/\"1\"",
        "1",
        "\"\"",
        "",
        "\"2\", W/\"1\"",
        "garbage",
    ] {
        let response = send(change_request(&app, &product, tags, &change), &admin).await;
        assert_eq!(response.status, 412, "{tags}");
        response.expect_problem(412, "precondition-failed");
    }
    for (change, pointer, code) in [
        (json!({"name": " "}), "/name", "blank"),
        (json!({"stock": 5}), "/stock", "unknown_field"),
        (
            json!({"price": {"amount_minor": 0, "currency": "EUR"}}),
            "/price/amount_minor",
            "not_positive",
        ),
        (
            json!({"price": {"amount_minor": 1}}),
            "/price/currency",
            "missing",
        ),
    ] {
        send(change_request(&app, &product, "\"1\"", &change), &admin)
            .await
            .expect_invalid(&[(pointer, code)]);
    }
    let stored = app.get(&path_of(&product), "").await.expect(200);
    assert_eq!(stored, product);
    let unknown = json!({"id": Uuid::now_v7()});
    send(change_request(&app, &unknown, "*", &change), &admin)
        .await
        .expect_problem(404, "not-found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_concurrent_updates_of_same_version_wins() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let other_admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    for round in 1..=5 {
        let tag = format!("\"{round}\"");
        let changes = (0..10).map(|n| {
            let token = if n % 2 == 0 { &admin } else { &other_admin };
            let change = json!({"name": format!("Name {round}.{n}")});
            send(change_request(&app, &product, &tag, &change), token)
        });
        let responses: Vec<TestResponse> = futures_util::future::join_all(changes).await;
        let (accepted, conflicting): (Vec<_>, Vec<_>) = responses
            .iter()
            .partition(|response| response.status == 200);
        assert_eq!(accepted.len(), 1);
        for response in conflicting {
            response.expect_problem(412, "precondition-failed");
        }
        let stored = app.get(&path_of(&product), "").await.expect(200);
        assert_eq!(stored, accepted[0].json());
    }
    app.finish().await;
}
