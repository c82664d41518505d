//! Headers are taken as they are, or rejected.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::app::{TestApp, send};
use crate::support::fixtures::{PASSWORD, id};

#[tokio::test(flavor = "multi_thread")]
async fn rejects_repeated_singleton_headers_with_400() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let token = format!("Bearer {}", app.register_customer().await);
    let order = || app.order_request("first", &[(&product, 1)]);
    let with_token = || order().header("authorization", &token);
    let change = || {
        let path = format!("/v1/products/{}", id(&product));
        let request = app.request(Method::PATCH, &path).bearer_auth(&admin);
        request.json(&json!({"name": "Changed"}))
    };
    let cases: [(RequestBuilder, &str); 9] = [
        (
            with_token().header("idempotency-key", "second"),
            "idempotency-key",
        ),
        (
            with_token().header("idempotency-key", "first"),
            "idempotency-key",
        ),
        (
            with_token().header("authorization", "Bearer other"),
            "authorization",
        ),
        (
            with_token().header("authorization", &token),
            "authorization",
        ),
        (
            with_token().header("content-type", "text/plain"),
            "content-type",
        ),
        (
            with_token()
                .header("x-request-timeout-ms", "5000")
                .header("x-request-timeout-ms", "100"),
            "x-request-timeout-ms",
        ),
        (
            change()
                .header("if-match", "\"9\"")
                .header("if-match", "\"1\""),
            "if-match",
        ),
        (
            change().header("if-match", "*").header("if-match", "\"9\""),
            "if-match",
        ),
        (
            app.request(Method::GET, "/v1/products")
                .header("origin", "https://a.example")
                .header("origin", "https://b.example"),
            "origin",
        ),
    ];
    for (request, name) in cases {
        let problem = send(request, "")
            .await
            .expect_problem(400, "repeated-header");
        assert_eq!(problem["detail"], format!("send the header {name} once"));
    }
    assert_eq!(app.stock(&product).await, 5, "no order was placed");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_repeated_list_headers() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let path = format!("/v1/products/{}", id(&product));
    let etag = app.get(&path, "").await.header("etag").unwrap().to_owned();
    let request = app
        .request(Method::GET, &path)
        .header("accept", "application/json")
        .header("accept", "text/plain")
        .header("x-forwarded-for", "198.51.100.1")
        .header("x-forwarded-for", "198.51.100.2")
        .header("if-none-match", "\"other\"")
        .header("if-none-match", etag);
    assert_eq!(
        send(request, "").await.status,
        304,
        "its lines are one list"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_compressed_body_with_415() {
    let app = TestApp::start().await;
    let registration = |email: &str| {
        let body = json!({"email": email, "password": PASSWORD, "name": "Ada"});
        app.request(Method::POST, "/v1/users").json(&body)
    };
    for codings in [
        vec!["gzip"],
        vec!["GZIP"],
        vec!["br"],
        vec!["identity, gzip"],
        vec!["identity", "zstd"],
        vec!["no-such-coding"],
    ] {
        let mut request = registration("ada@example.com");
        for coding in &codings {
            request = request.header("content-encoding", *coding);
        }
        let response = send(request, "").await;
        assert_eq!(response.status, 415, "{codings:?}: {}", response.text);
        response.expect_problem(415, "unsupported-content-encoding");
        assert_eq!(response.header("accept-encoding"), Some("identity"));
    }
    let gzip_magic = vec![0x1f, 0x8b, 8, 0];
    let compressed = app
        .request(Method::POST, "/v1/users")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body(gzip_magic);
    send(compressed, "")
        .await
        .expect_problem(415, "unsupported-content-encoding");
    for (coding, email) in [("identity", "bob@example.com"), ("", "eve@example.com")] {
        let request = registration(email).header("content-encoding", coding);
        send(request, "").await.expect(201);
    }
    let without_body = app.request(Method::GET, "/v1/products");
    let without_body = without_body.header("content-encoding", "gzip");
    send(without_body, "").await.expect(200);
    app.finish().await;
}
