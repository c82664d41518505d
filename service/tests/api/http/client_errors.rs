//! Every way to be refused before a story begins: all are problems, none is a
//! page of the framework's.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::response::TestResponse;

const LIMIT: usize = 64 * 1024;

async fn post_text(
    app: &TestApp,
    path: &str,
    content_type: Option<&str>,
    body: &str,
) -> TestResponse {
    let mut request = app.request(Method::POST, path).body(body.to_owned());
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    send(request, "").await
}

/// A registration with spaces at its end, of `bytes` in all.
fn padded_registration(bytes: usize) -> String {
    let password = crate::support::fixtures::PASSWORD;
    let body = json!({"email": "ada@example.com", "password": password, "name": "Ada"});
    let mut text = body.to_string();
    text.push_str(&" ".repeat(bytes.saturating_sub(text.len())));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_malformed_json_with_400() {
    let app = TestApp::start().await;
    let deep = "[".repeat(10_000);
    for body in [
        "",
        " ",
        "{",
        "nope",
        "{'email': 1}",
        "{\"email\": \"a@b.c\",}",
        "{} {}",
        "{\"email\": 1, ",
        "\u{feff}{}",
        "\u{0}",
        r#"{"email": "\ud800"}"#,
        r#"{"email": NaN}"#,
        &format!(r#"{{"email": {deep}"#),
    ] {
        let response = post_text(&app, "/v1/users", Some("application/json"), body).await;
        assert_eq!(response.status, 400, "{body:.40}: {}", response.text);
        response.expect_problem(400, "malformed-json");
    }
    let latin_1 = app
        .request(Method::POST, "/v1/users")
        .header("content-type", "application/json")
        .body(b"{\"email\": \"\xe9\"}".to_vec());
    send(latin_1, "")
        .await
        .expect_problem(400, "malformed-json");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_other_content_types_with_415() {
    let app = TestApp::start().await;
    let body = padded_registration(0);
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/merge-patch+json"),
        Some("garbage"),
        Some(""),
    ] {
        let response = post_text(&app, "/v1/users", content_type, &body).await;
        assert_eq!(response.status, 415, "{content_type:?}: {}", response.text);
        response.expect_problem(415, "unsupported-media-type");
        assert_eq!(response.header("accept"), Some("application/json"));
    }
    // A charset changes nothing: JSON is UTF-8 (RFC 8259, section 8.1).
    let content_type = Some("Application/JSON; charset=utf-8");
    let response = post_text(&app, "/v1/users", content_type, &body).await;
    response.expect(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_body_over_limit_with_413() {
    let app = TestApp::start().await;
    let json = Some("application/json");
    let over = padded_registration(LIMIT + 1);
    let response = post_text(&app, "/v1/users", json, &over).await;
    response.expect_problem(413, "body-too-large");
    // Without its length told in advance, it is counted as it comes.
    let response = post_chunked(&app, "/v1/users", &over).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert!(response.contains("application/problem+json") && response.contains("/body-too-large"));

    let at_the_limit = padded_registration(LIMIT);
    assert_eq!(at_the_limit.len(), LIMIT);
    let response = post_chunked(&app, "/v1/users", &at_the_limit).await;
    assert!(response.starts_with("HTTP/1.1 201 "), "{response}");
    let response = post_text(&app, "/v1/users", json, &at_the_limit).await;
    response.expect_problem(409, "email-taken");
    app.finish().await;
}

/// Sends JSON in chunks, and returns all of the answer as it came.
async fn post_chunked(app: &TestApp, path: &str, body: &str) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let mut request = head.into_bytes();
    for chunk in body.as_bytes().chunks(4096) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    send_bytes(app, &request).await
}

/// Sends this and nothing more, and returns all of the answer as it came.
async fn send_bytes(app: &TestApp, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.app.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    String::from_utf8(response).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_truncated_body_with_400() {
    let app = TestApp::start().await;
    let request = "POST /v1/users HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"email\": ";
    let response = send_bytes(&app, request.as_bytes()).await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(response.contains("application/problem+json") && response.contains("/bad-request"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_404_for_id_that_is_not_uuid() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    for id in [
        "1",
        "not-a-uuid",
        "%00",
        "%FF",
        "..%2f",
        "0193c641-1b00-7c80-aaaa-aaaaaaaaaaag",
    ] {
        for path in [format!("/v1/products/{id}"), format!("/v1/orders/{id}")] {
            let response = app.get(&path, &admin).await;
            let problem = response.expect_problem(404, "not-found");
            assert_eq!(problem["detail"], "the id in the path must be a UUID");
        }
        for path in [
            format!("/v1/orders/{id}/cancel"),
            format!("/v1/orders/{id}/ship"),
            format!("/v1/products/{id}/stock"),
        ] {
            let response = app.post(&path, &admin, &json!({"delta": 1})).await;
            response.expect_problem(404, "not-found");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_404_for_unknown_path() {
    let app = TestApp::start().await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/users",
        "/v1/nothing",
        "/v1/users/",
        "/v1/users/0193c641-1b00-7c80-aaaa-aaaaaaaaaaaa",
        "/v1//products",
        "/metrics",
        "/livez",
        "/docs/no-such-file",
        "/favicon.ico?x=y",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let response = send(app.request(method.clone(), path), "").await;
            assert_eq!(response.status, 404, "{method} {path}: {}", response.text);
            let problem = response.expect_problem(404, "not-found");
            // Without the query: it may have anything in it.
            assert_eq!(problem["instance"], path.split('?').next().unwrap());
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_responds_like_get_without_body() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let unknown = format!("/v1/products/{}", Uuid::now_v7());
    for path in [
        format!("/v1/products/{}", product["id"].as_str().unwrap()),
        "/v1/products".to_owned(),
        "/v1/users/me".to_owned(),
        "/v1/orders".to_owned(),
        "/openapi.json".to_owned(),
        unknown,
    ] {
        let get = app.get(&path, &admin).await;
        let head = send(app.request(Method::HEAD, &path), &admin).await;
        assert_eq!(
            (head.status, head.text.as_str()),
            (get.status, ""),
            "{path}"
        );
        for name in ["content-type", "etag", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_order_with_invalid_idempotency_key_with_400() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let order = json!({"lines": [{"product_id": product["id"], "quantity": 1}]});
    app.post("/v1/orders", &admin, &order)
        .await
        .expect_problem(400, "idempotency-key-required");
    let long = "x".repeat(256);
    for key in ["", " ", "two words", "tab\tbed", &long] {
        let request = app.order_request(key, &[(&product, 1)]);
        let response = send(request, &admin).await;
        assert_eq!(response.status, 400, "{key:?}: {}", response.text);
        response.expect_problem(400, "idempotency-key-required");
    }
    let not_ascii = app
        .request(Method::POST, "/v1/orders")
        .header("idempotency-key", "clé".as_bytes())
        .json(&order);
    send(not_ascii, &admin)
        .await
        .expect_problem(400, "idempotency-key-required");
    assert_eq!(app.stock(&product).await, 5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn problem_has_trace_id_of_its_request() {
    let app = TestApp::start().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let trace_id_with = async |name: &str, value: &str| {
        let request = app.request(Method::GET, "/nowhere");
        let response = send(request.header(name, value), "").await;
        let problem = response.expect_problem(404, "not-found");
        problem["trace_id"].as_str().unwrap().to_owned()
    };
    // The caller's, if it tells one (W3C Trace Context) ...
    let sampled = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let continued = trace_id_with("traceparent", &sampled).await;
    assert_eq!(continued, trace_id);
    let unsampled = format!("00-{trace_id}-00f067aa0ba902b7-00");
    let unsampled = trace_id_with("traceparent", &unsampled).await;
    assert_eq!(unsampled, trace_id);
    // ... or one of its own, for each request another.
    let zeros = "0".repeat(32);
    let mut generated = vec![zeros.clone(), trace_id.to_owned()];
    for (name, not_valid) in [
        ("traceparent", ""),
        ("traceparent", "garbage"),
        ("traceparent", &format!("00-{zeros}-00f067aa0ba902b7-01")),
        ("traceparent", &format!("00-{trace_id}-0000000000000000-01")),
        ("uber-trace-id", "0:0:0:0"),
        ("uber-trace-id", &format!("{trace_id}:0:0:1")),
        ("uber-trace-id", "garbage"),
    ] {
        let id = trace_id_with(name, not_valid).await;
        assert_eq!(id.len(), 32, "{id}");
        assert!(id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        assert!(!generated.contains(&id), "{not_valid:?}: {id}");
        generated.push(id);
    }
    app.finish().await;
}
