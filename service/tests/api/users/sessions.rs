//! Logging in, and the tokens that come of it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::token_forger::TokenForger;
use crate::support::app::{TestApp, send};
use crate::support::fixtures::PASSWORD;
use crate::support::response::TestResponse;

const ADA: &str = "ada@example.com";

/// Registers a user of that address and returns their id.
async fn register(app: &TestApp, email: &str) -> String {
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada"});
    let user = app.post("/v1/users", "", &body).await.expect(201);
    user["id"].as_str().unwrap().to_owned()
}

async fn attempt_login(app: &TestApp, email: &str, password: &str) -> TestResponse {
    let body = json!({"email": email, "password": password});
    app.post("/v1/sessions", "", &body).await
}

/// The header or the claims of a JWT.
fn part(token: &str, index: usize) -> Value {
    let encoded = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn login_returns_token_valid_for_fifteen_minutes() {
    let app = TestApp::start().await;
    let user_id = register(&app, ADA).await;
    let response = attempt_login(&app, ADA, PASSWORD).await;
    let session = response.expect(201);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    insta::assert_json_snapshot!("session", session, {".access_token" => "[token]"});

    let token = session["access_token"].as_str().unwrap();
    let (header, claims) = (part(token, 0), part(token, 1));
    assert_eq!(header["alg"], "EdDSA");
    // SHA-256 in base64url: the thumbprint of the key.
    assert_eq!(header["kid"].as_str().unwrap().len(), 43);
    let issued = claims["iat"].as_i64().unwrap();
    assert_eq!(claims["exp"], issued + 900);
    assert_eq!(claims["sub"], user_id);
    insta::assert_json_snapshot!("access_token_claims", claims, {
        ".sub" => "[user id]", ".iat" => "[time]", ".exp" => "[time]"
    });
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_and_unknown_email_get_same_response() {
    let app = TestApp::start().await;
    register(&app, ADA).await;
    let wrong = attempt_login(&app, ADA, "a wrong password").await;
    wrong.expect_problem(401, "invalid-credentials");
    // It is not the token that was wrong: there was none.
    assert_eq!(wrong.header("www-authenticate"), Some("Bearer"));
    for unknown in ["eve@example.com", "no address", "", "a\u{0}b@example.com"] {
        let unknown = attempt_login(&app, unknown, "a wrong password").await;
        assert_eq!(
            constant_parts(&unknown),
            constant_parts(&wrong),
            "{unknown:?}"
        );
    }
    app.finish().await;
}

/// All of an answer that is not different for each request.
fn constant_parts(response: &TestResponse) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body = response.json();
    body["trace_id"] = json!("");
    (response.status, headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_email_costs_one_password_hash() {
    let app = TestApp::start().await;
    register(&app, ADA).await;
    // No clock can tell in a test; what costs the time can be counted.
    for email in [ADA, "eve@example.com", "no address"] {
        let before = hashes(&app).await;
        attempt_login(&app, email, "a wrong password")
            .await
            .expect_problem(401, "invalid-credentials");
        assert_eq!(hashes(&app).await - before, 1, "{email}");
    }
    app.finish().await;
}

async fn hashes(app: &TestApp) -> i64 {
    let counted = app.metric("orderly_password_hashes_total").await;
    counted.unwrap() as i64
}

#[tokio::test(flavor = "multi_thread")]
async fn login_storm_is_served_or_rejected_with_503() {
    let app = TestApp::start_with(|settings| {
        settings.auth.max_concurrent_hashes = 1;
        settings.auth.hash_queue_timeout = Duration::from_millis(10);
        // Long enough that a storm meets a busy slot, on any machine.
        settings.auth.hash_iterations = 10;
    })
    .await;
    register(&app, ADA).await;
    let before = hashes(&app).await;
    let logins = (0..24).map(|_| attempt_login(&app, ADA, PASSWORD));
    let responses = futures_util::future::join_all(logins).await;
    let (accepted, rejected): (Vec<_>, Vec<_>) = responses
        .iter()
        .partition(|response| response.status == 201);
    for response in &rejected {
        response.expect_problem(503, "overloaded");
        assert_eq!(response.header("retry-after"), Some("1"));
    }
    assert!(!accepted.is_empty() && !rejected.is_empty());
    // Who was turned away cost no hash.
    assert_eq!(hashes(&app).await - before, accepted.len() as i64);
    // When the storm is over, all is as before.
    attempt_login(&app, ADA, PASSWORD).await.expect(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validates_login_body() {
    let app = TestApp::start().await;
    for (body, pointer, code) in [
        (json!({"password": "x"}), "/email", "missing"),
        (json!({"email": ADA}), "/password", "missing"),
        (json!({"email": 1, "password": "x"}), "/email", "wrong_type"),
        (
            json!({"email": ADA, "password": "x", "remember": true}),
            "/remember",
            "unknown_field",
        ),
    ] {
        app.post("/v1/sessions", "", &body)
            .await
            .expect_invalid(&[(pointer, code)]);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_forged_tokens() {
    let forger = TokenForger::new();
    let pem = forger.pem();
    let app = TestApp::start_with(|settings| settings.auth.signing_key = Some(pem.into())).await;
    let genuine = app.register_customer().await;
    let (header, claims) = (part(&genuine, 0), part(&genuine, 1));

    // With the service's own key, the forger makes tokens that are as good: so
    // each of the others is refused for its one difference.
    let copied = forger.sign(&header, &claims);
    app.get("/v1/users/me", &copied).await.expect(200);

    for (what, token) in forger.invalid_tokens(&genuine, &header, &claims) {
        let response = app.get("/v1/users/me", &token).await;
        assert_eq!(response.status, 401, "{what}: {}", response.text);
        response.expect_problem(401, "unauthenticated");
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge, Some(r#"Bearer error="invalid_token""#), "{what}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_bearer_tokens_only() {
    let app = TestApp::start().await;
    let token = app.register_customer().await;
    let with = |value: String| {
        app.request(reqwest::Method::GET, "/v1/users/me")
            .header("authorization", value)
    };
    // The scheme's name has no case (RFC 9110, section 11.1).
    send(with(format!("bearer {token}")), "").await.expect(200);
    // What is no bearer token is none, and nothing is said of it (RFC 6750, section 3.1).
    let (none, rejected) = ("Bearer", r#"Bearer error="invalid_token""#);
    for (value, challenge) in [
        (token.clone(), none),
        (format!("Basic {token}"), none),
        (format!("Token {token}"), none),
        ("Bearer".to_owned(), none),
        ("Bearer ".to_owned(), none),
        (format!("Bearer {token} {token}"), rejected),
        (String::new(), none),
    ] {
        let response = send(with(value.clone()), "").await;
        response.expect_problem(401, "unauthenticated");
        assert_eq!(
            response.header("www-authenticate"),
            Some(challenge),
            "{value}"
        );
    }
    let query_path = format!("/v1/users/me?access_token={token}");
    app.get(&query_path, "")
        .await
        .expect_problem(401, "unauthenticated");
    app.finish().await;
}
