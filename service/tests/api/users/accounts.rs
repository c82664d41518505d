//! Registering, and the own profile.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::fixtures::{PASSWORD, id};

fn ada() -> Value {
    json!({"email": "Ada@Example.com", "password": PASSWORD, "name": "Ada"})
}

/// `body` with one field changed.
fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_returns_user_without_password() {
    let app = TestApp::start().await;
    let user = app.post("/v1/users", "", &ada()).await.expect(201);
    assert_eq!(
        Uuid::try_parse(id(&user)).unwrap().get_version_num(),
        7,
        "{user}"
    );
    assert!(user["created_at"].as_str().unwrap().ends_with('Z'));
    insta::assert_json_snapshot!("user", user, {".id" => "[id]", ".created_at" => "[time]"});
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_duplicate_email_ignoring_case() {
    let app = TestApp::start().await;
    app.post("/v1/users", "", &ada()).await.expect(201);
    let again = with(ada(), "email", json!("ada@EXAMPLE.COM"));
    app.post("/v1/users", "", &again)
        .await
        .expect_problem(409, "email-taken");
    // And it is the same user who logs in.
    app.log_in("ADA@example.com").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_registrations_create_one_user() {
    let app = TestApp::start_with(|settings| settings.auth.max_concurrent_hashes = 10).await;
    let body = ada();
    let registering = (0..10).map(|_| app.post("/v1/users", "", &body));
    let responses = futures_util::future::join_all(registering).await;
    let created = responses
        .iter()
        .filter(|response| response.status == 201)
        .count();
    assert_eq!(created, 1);
    for response in responses.iter().filter(|response| response.status != 201) {
        response.expect_problem(409, "email-taken");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validates_each_field_of_registration() {
    let app = TestApp::start().await;
    let long_address = format!("ada@{}.com", "a.".repeat(130));
    for (field, value, code) in [
        ("email", json!(""), "invalid_email"),
        ("email", json!("ada"), "invalid_email"),
        ("email", json!("ada@"), "invalid_email"),
        ("email", json!("a b@example.com"), "invalid_email"),
        ("email", json!("ada\u{0}@example.com"), "invalid_email"),
        ("email", json!("ada@example.com\n"), "invalid_email"),
        ("email", json!(long_address), "too_long"),
        ("email", json!(null), "wrong_type"),
        ("email", json!(["ada@example.com"]), "wrong_type"),
        ("password", json!(""), "too_short"),
        ("password", json!("eleven char"), "too_short"),
        ("password", json!("x".repeat(129)), "too_long"),
        ("password", json!(123_456_789_012_i64), "wrong_type"),
        ("name", json!(""), "blank"),
        ("name", json!(" \t\u{a0}"), "blank"),
        ("name", json!("x".repeat(201)), "too_long"),
        ("name", json!("A\u{0}da"), "control_character"),
        ("name", json!("A\nda"), "control_character"),
        ("name", json!(true), "wrong_type"),
        ("role", json!("admin"), "unknown_field"),
    ] {
        let body = with(ada(), field, value);
        let pointer = format!("/{field}");
        app.post("/v1/users", "", &body)
            .await
            .expect_invalid(&[(&pointer, code)]);
    }
    for field in ["email", "password", "name"] {
        let mut body = ada();
        body.as_object_mut().unwrap().remove(field);
        let pointer = format!("/{field}");
        app.post("/v1/users", "", &body)
            .await
            .expect_invalid(&[(&pointer, "missing")]);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_registration_at_limits() {
    let app = TestApp::start().await;
    let domain = format!("{}.{}.{}", "d".repeat(63), "e".repeat(63), "f".repeat(61));
    let longest = format!("{}@{domain}", "a".repeat(64));
    assert_eq!(longest.len(), 254);
    for (email, password, name) in [
        ("x@y.z", "é".repeat(12), "A".to_owned()),
        (longest.as_str(), "é".repeat(128), "é".repeat(200)),
        // A password may have any character but control characters.
        (
            "any@example.com",
            "' OR 1=1; 👩\u{200d}🚀 \u{1fae8}".to_owned(),
            "'; --".to_owned(),
        ),
    ] {
        let body = json!({"email": email, "password": password, "name": name});
        let user = app.post("/v1/users", "", &body).await.expect(201);
        assert_eq!(
            (&user["email"], &user["name"]),
            (&json!(email), &json!(name))
        );
        let body = json!({"email": email, "password": password});
        app.post("/v1/sessions", "", &body).await.expect(201);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_all_registration_errors_together() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada", "password": "short", "name": " "});
    let response = app.post("/v1/users", "", &body).await;
    response.expect_invalid(&[
        ("/email", "invalid_email"),
        ("/password", "too_short"),
        ("/name", "blank"),
    ]);
    insta::assert_json_snapshot!("validation_problem", response.json(), {".trace_id" => "[trace]"});
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_reads_and_updates_own_profile() {
    let app = TestApp::start().await;
    let registered = app.post("/v1/users", "", &ada()).await.expect(201);
    let token = app.log_in("ada@example.com").await;
    let me = app.get("/v1/users/me", &token).await.expect(200);
    assert_eq!(me, registered);

    let renamed = with(registered.clone(), "name", json!("Countess"));
    let change = json!({"name": "Countess"});
    let response = app.patch("/v1/users/me", &token, &change).await;
    assert_eq!(response.expect(200), renamed);
    let unchanged = app.patch("/v1/users/me", &token, &json!({})).await;
    assert_eq!(unchanged.expect(200), renamed);
    let me = app.get("/v1/users/me", &token).await.expect(200);
    assert_eq!(me, renamed);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validates_profile_update() {
    let app = TestApp::start().await;
    let token = app.register_customer().await;
    for (body, pointer, code) in [
        (json!({"name": ""}), "/name", "blank"),
        (json!({"name": "x".repeat(201)}), "/name", "too_long"),
        (json!({"name": "\u{0}"}), "/name", "control_character"),
        (json!({"name": 5}), "/name", "wrong_type"),
        (json!({"email": "b@example.com"}), "/email", "unknown_field"),
        (json!({"role": "admin"}), "/role", "unknown_field"),
    ] {
        app.patch("/v1/users/me", &token, &body)
            .await
            .expect_invalid(&[(pointer, code)]);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_requires_token() {
    let app = TestApp::start().await;
    for method in [Method::GET, Method::PATCH] {
        let request = app.request(method, "/v1/users/me").json(&json!({}));
        let response = send(request, "").await;
        response.expect_problem(401, "unauthenticated");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
    }
    app.finish().await;
}
