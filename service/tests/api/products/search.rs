//! Searching by a part of the name, in every case, normal form and locale of the database.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::database::{LOCALES, TestDatabase};
use crate::support::eventually::eventually;
use crate::support::fixtures::id;

async fn create_product(app: &TestApp, admin: &str, name: &str) -> Value {
    let body = json!({
        "sku": Uuid::now_v7().to_string(),
        "name": name,
        "price": {"amount_minor": 100, "currency": "EUR"},
        "stock": 1,
    });
    app.post("/v1/products", admin, &body).await.expect(201)
}

/// Returns the names that a search finds, in order.
async fn find(app: &TestApp, text: &str) -> Vec<String> {
    let request = app.request(reqwest::Method::GET, "/v1/products");
    let page = send(request.query(&[("search", text)]), "")
        .await
        .expect(200);
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_every_case_in_every_locale() {
    for (locale, options) in LOCALES {
        let Some(database) = TestDatabase::with_locale(options).await else {
            continue;
        };
        let app = TestApp::start_on(database, |_| {}).await;
        let admin = app.create_admin().await;
        for name in [
            "Café Lungo",
            "Настольная лампа",
            "ΛΑΜΠΑΣ",
            "Straßenlampe",
            "INDIGO",
        ] {
            create_product(&app, &admin, name).await;
        }
        for (text, found) in [
            ("CAFÉ", "Café Lungo"),
            ("café", "Café Lungo"),
            ("CAFE\u{301} l", "Café Lungo"),
            ("ЛАМПА", "Настольная лампа"),
            ("лампа", "Настольная лампа"),
            ("НАСТОЛЬНАЯ", "Настольная лампа"),
            ("λαμπας", "ΛΑΜΠΑΣ"),
            ("STRASSE", "Straßenlampe"),
            ("ｓｔｒａß", "Straßenlampe"),
            ("indigo", "INDIGO"),
            ("ındıgo", "INDIGO"),
        ] {
            assert_eq!(find(&app, text).await, [found], "{text} in {locale}");
        }
        assert!(find(&app, "cafe").await.is_empty(), "{locale}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_new_name_after_rename() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = create_product(&app, &admin, "лампа").await;
    let path = format!("/v1/products/{}", id(&product));
    for (name, search) in [
        ("ЛАМПА", "лампа"),
        ("Éclair", "ÉCLAIR"),
        ("E\u{301}clair", "éclair"),
    ] {
        let request = app
            .request(reqwest::Method::PATCH, &path)
            .json(&json!({"name": name}));
        let current = app.get(&path, "").await;
        let tag = current.header("etag").unwrap().to_owned();
        let renamed = send(request.header("if-match", tag), &admin)
            .await
            .expect(200);
        assert_eq!(
            find(&app, search).await,
            [renamed["name"].as_str().unwrap()]
        );
    }
    assert!(find(&app, "лампа").await.is_empty());
    app.finish().await;
}

/// The version before writes names without keys, beside this version and before the migration.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_the_version_before_are_found() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    create_product(&app, &admin, "Ночник").await;
    let mut before = app.database.connect().await;
    let write = "INSERT INTO products (id, sku, name, price_minor, currency, stock, stock_received, created_at, updated_at)
         VALUES (gen_random_uuid(), 'OLD-1', 'Лампа Loft', 100, 'EUR', 1, 1, now(), now());
         UPDATE products SET name = 'Бра Wall', version = version + 1 WHERE name = 'Ночник'";
    before.batch_execute(write).await.unwrap();
    assert_eq!(find(&app, "LOFT").await, ["Лампа Loft"]);
    assert_eq!(find(&app, "wall").await, ["Бра Wall"]);
    assert!(find(&app, "ночник").await.is_empty());

    // The next start fills the keys.
    let replica = app.start_replica().await;
    for (search, name) in [("ЛАМПА", "Лампа Loft"), ("бра", "Бра Wall")] {
        eventually("the search keys are filled", async || {
            (find(&app, search).await == [name]).then_some(())
        })
        .await;
    }
    replica.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_stored_in_normal_form() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let body = |sku: &str, name: &str| json!({"sku": sku, "name": name, "stock": 1, "price": {"amount_minor": 1, "currency": "EUR"}});
    let product = app
        .post("/v1/products", &admin, &body("E\u{301}-1", "Cafe\u{301}"))
        .await
        .expect(201);
    assert_eq!(
        (&product["sku"], &product["name"]),
        (&json!("É-1"), &json!("Café"))
    );
    let same = app.post("/v1/products", &admin, &body("É-1", "x")).await;
    same.expect_problem(409, "sku-taken");
    for (name, code) in [
        ("e\u{301}".repeat(201), "too_long"),
        ("Lamp\u{202e}".into(), "control_character"),
        ("La\u{200b}mp".into(), "control_character"),
        ("\u{3164}".into(), "blank"),
    ] {
        let response = app.post("/v1/products", &admin, &body("X-1", &name)).await;
        response.expect_invalid(&[("/name", code)]);
    }
    // 200 characters in 600 bytes.
    let longest = "e\u{301}".repeat(200);
    app.post("/v1/products", &admin, &body("X-2", &longest))
        .await
        .expect(201);
    app.finish().await;
}
