//! Browsing: pages, search, and what is not sent twice.

use orderly::domain::page::{Cursor, List};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::fixtures::id;
use crate::support::response::TestResponse;

/// Enters a product of that name.
async fn create_product_named(app: &TestApp, admin: &str, name: &str) -> Value {
    let body = json!({
        "sku": Uuid::now_v7().to_string(),
        "name": name,
        "price": {"amount_minor": 100, "currency": "EUR"},
        "stock": 1,
    });
    app.post("/v1/products", admin, &body).await.expect(201)
}

/// The names in a page, in order.
fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect()
}

async fn search(app: &TestApp, text: &str) -> TestResponse {
    let request = app.request(Method::GET, "/v1/products");
    send(request.query(&[("search", text)]), "").await
}

async fn get_if_none_match(app: &TestApp, path: &str, tags: &str) -> TestResponse {
    let request = app.request(Method::GET, path);
    send(request.header("if-none-match", tags), "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn list_has_items_and_cursor() {
    let app = TestApp::start().await;
    let empty = app.get("/v1/products", "").await.expect(200);
    assert_eq!(empty, json!({"items": [], "next_cursor": null}));

    let admin = app.create_admin().await;
    let lamp = json!({
        "sku": "LAMP-1", "name": "Lamp", "stock": 10,
        "price": {"amount_minor": 1250, "currency": "EUR"},
    });
    let lamp = app.post("/v1/products", &admin, &lamp).await.expect(201);
    create_product_named(&app, &admin, "Table").await;
    let page = app.get("/v1/products?limit=1", "").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(page, json!({"items": [lamp], "next_cursor": cursor}));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pagination_returns_every_product_once() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let mut entered = Vec::new();
    for n in 0..7 {
        entered
            .push(id(&create_product_named(&app, &admin, &format!("Thing {n}")).await).to_owned());
    }
    for limit in [1, 2, 3, 7, 100] {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        for page_number in 0.. {
            let request = app
                .request(Method::GET, "/v1/products")
                .query(&[("limit", limit.to_string())])
                .query(&cursor.map(|cursor| [("cursor", cursor)]));
            let page = send(request, "").await.expect(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            seen.extend(items.iter().map(|item| id(item).to_owned()));
            // What comes in meanwhile neither moves nor repeats anything.
            if page_number == 0 && limit == 3 {
                entered.push(id(&create_product_named(&app, &admin, "Late").await).to_owned());
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
            assert_eq!(items.len(), limit, "only the last page may be short");
        }
        assert_eq!(seen, entered, "limit {limit}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_has_twenty_rows_by_default() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    for n in 0..21 {
        create_product_named(&app, &admin, &format!("Thing {n}")).await;
    }
    let page = app.get("/v1/products", "").await.expect(200);
    assert_eq!(names(&page).len(), 20);
    let page = app.get("/v1/products?limit=100", "").await.expect(200);
    assert_eq!(
        (names(&page).len(), &page["next_cursor"]),
        (21, &json!(null))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validates_product_list_query() {
    let app = TestApp::start().await;
    let row = Cursor(Uuid::now_v7());
    let of_orders = row.encode(List::Orders);
    let long = "x".repeat(201);
    for (query, pointer, code) in [
        ("limit=0", "/limit", "out_of_range"),
        ("limit=101", "/limit", "out_of_range"),
        ("limit=-1", "/limit", "out_of_range"),
        ("limit=9223372036854775808", "/limit", "wrong_type"),
        ("limit=ten", "/limit", "wrong_type"),
        ("limit=", "/limit", "wrong_type"),
        ("limit=1.5", "/limit", "wrong_type"),
        ("limit=1&limit=2", "/limit", "duplicate_field"),
        ("cursor=", "/cursor", "invalid_cursor"),
        ("cursor=garbage", "/cursor", "invalid_cursor"),
        ("cursor=%00%FF", "/cursor", "invalid_cursor"),
        (&format!("cursor={of_orders}"), "/cursor", "invalid_cursor"),
        ("search=", "/search", "blank"),
        ("search=%20", "/search", "blank"),
        ("search=a%00b", "/search", "control_character"),
        (&format!("search={long}"), "/search", "too_long"),
        ("serach=lamp", "/serach", "unknown_field"),
        ("offset=10", "/offset", "unknown_field"),
    ] {
        let response = app.get(&format!("/v1/products?{query}"), "").await;
        assert_eq!(response.status, 422, "{query}: {}", response.text);
        response.expect_invalid(&[(pointer, code)]);
    }
    let all = "/v1/products?limit=0&cursor=x&search=";
    app.get(all, "").await.expect_invalid(&[
        ("/limit", "out_of_range"),
        ("/cursor", "invalid_cursor"),
        ("/search", "blank"),
    ]);
    // A cursor of this list is one even if its row is gone.
    let path = format!("/v1/products?cursor={}", row.encode(List::Products));
    app.get(&path, "").await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_matches_special_characters_literally() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let all = [
        "Desk Lamp",
        "LAMPSHADE",
        "100% Wool",
        "100 Wool",
        "snake_case",
        "snakeXcase",
        r"back\slash",
        "Größe",
    ];
    for name in all {
        create_product_named(&app, &admin, name).await;
    }
    for (text, found) in [
        ("lamp", &["Desk Lamp", "LAMPSHADE"][..]),
        ("LAMP", &["Desk Lamp", "LAMPSHADE"]),
        ("k l", &["Desk Lamp"]),
        ("%", &["100% Wool"]),
        ("100%", &["100% Wool"]),
        ("_", &["snake_case"]),
        ("e_c", &["snake_case"]),
        (r"\", &[r"back\slash"]),
        (r"\\", &[]),
        ("größe", &["Größe"]),
        ("'; DROP TABLE products; --", &[]),
        ("nothing", &[]),
    ] {
        let page = search(&app, text).await.expect(200);
        assert_eq!(names(&page), found, "{text:?}");
    }
    // A cursor keeps its place within a search.
    let first = app.get("/v1/products?search=lamp&limit=1", "").await;
    let cursor = first.expect(200)["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let next = format!("/v1/products?search=lamp&limit=1&cursor={cursor}");
    let page = app.get(&next, "").await.expect(200);
    assert_eq!(
        (names(&page), &page["next_cursor"]),
        (vec!["LAMPSHADE"], &json!(null))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_304_for_matching_etag() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let path = format!("/v1/products/{}", id(&product));
    let response = app.get(&path, "").await;
    assert_eq!(response.expect(200), product);
    assert_eq!(response.header("etag"), Some("\"1\""));
    insta::assert_json_snapshot!("product", product, {
        ".id" => "[id]", ".sku" => "[sku]", ".updated_at" => "[time]"
    });

    // Weak or in a list, it is the same (RFC 9110, section 13.1.2).
    for matching in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        let response = get_if_none_match(&app, &path, matching).await;
        assert_eq!(
            (response.status, response.text.as_str()),
            (304, ""),
            "{matching}"
        );
        assert_eq!(response.header("etag"), Some("\"1\""));
    }
    for other in ["\"2\"", "\"\"", "1", "garbage", ""] {
        let response = get_if_none_match(&app, &path, other).await;
        assert_eq!(response.expect(200), product, "{other}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_product_change_changes_its_etag() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let customer = app.register_customer().await;
    let product = app.create_product(&admin, 250, 5).await;
    let path = format!("/v1/products/{}", id(&product));

    let adjusted = app
        .post(&format!("{path}/stock"), &admin, &json!({"delta": 1}))
        .await;
    assert_eq!(adjusted.header("etag"), Some("\"2\""));
    let response = get_if_none_match(&app, &path, "\"1\"").await;
    assert_eq!(response.expect(200)["stock"], 6);
    assert_eq!(response.header("etag"), Some("\"2\""));

    // An order is a change of the stock, too.
    app.place_order(&customer, &[(&product, 2)])
        .await
        .expect(201);
    let response = get_if_none_match(&app, &path, "\"2\"").await;
    assert_eq!(response.expect(200)["stock"], 4);
    assert_eq!(response.header("etag"), Some("\"3\""));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_404_for_unknown_product_despite_etag() {
    let app = TestApp::start().await;
    let path = format!("/v1/products/{}", Uuid::now_v7());
    get_if_none_match(&app, &path, "*")
        .await
        .expect_problem(404, "not-found");
    app.finish().await;
}
