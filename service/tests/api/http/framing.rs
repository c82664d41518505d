//! Methods, targets and framing, over raw sockets: the same rules on the API and the admin listener.

use std::net::SocketAddr;
use std::time::Duration;

use super::raw_request::exchange;
use crate::support::app::TestApp;

/// An app that would wait longer for a body than a test waits for a response.
async fn start() -> TestApp {
    TestApp::start_with(|settings| {
        settings.http.request_body_timeout = Duration::from_secs(60);
    })
    .await
}

/// Both listeners, each with a path that responds with 200.
fn listeners(app: &TestApp) -> [(SocketAddr, &'static str); 2] {
    [
        (app.app.address, "/v1/products"),
        (app.app.admin_address, "/livez"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_get_as_if_no_upgrade_was_offered() {
    let app = start().await;
    for (address, path) in listeners(&app) {
        for fields in [
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB",
            "connection: keep-alive, upgrade\r\nupgrade: WebSocket",
            "connection: upgrade\r\nupgrade: TLS/1.0, websocket",
            "connection: upgrade",
            "upgrade: websocket",
            "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0",
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{fields}\r\n\r\n");
            let response = exchange(address, &request).await;
            assert_eq!(response.status, 200, "{fields}: {response:?}");
            // The client must not send another request on this connection.
            assert_eq!(response.header("connection"), Some("close"), "{fields}");
        }
        let old =
            format!("GET {path} HTTP/1.0\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        assert_eq!(exchange(address, &old).await.status, 200);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_announced_body_beside_offered_upgrade() {
    let app = start().await;
    let body = "{\"email\": \"a@example.com\", \"password\": \"a wrong password\"}";
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("content-length: {}", body.len());
    let log_in = async |protocol: &str, framing: &str, sent: &str| {
        let request = format!(
            "POST /v1/sessions HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\n\
             upgrade: {protocol}\r\ncontent-type: application/json\r\n{framing}\r\n\r\n{sent}"
        );
        let response = exchange(app.app.address, &request).await;
        assert_eq!(response.status, 401, "{protocol}, {framing}: {response:?}");
        assert_eq!(response.problem(), "invalid-credentials");
        assert_eq!(response.header("connection"), Some("close"));
    };
    for protocol in ["websocket", "h2c"] {
        log_in(protocol, &length, body).await;
        log_in(protocol, "transfer-encoding: chunked", &chunked).await;
    }
    // What follows the body is not part of it.
    log_in("websocket", &length, &format!("{body}trailing")).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_connect_and_server_wide_options_with_405() {
    let app = start().await;
    for (address, path) in listeners(&app) {
        for head in [
            "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443",
            "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\ncontent-length: 9",
            &format!("CONNECT {path} HTTP/1.1\r\nhost: test"),
            "OPTIONS * HTTP/1.1\r\nhost: test\r\nconnection: close",
        ] {
            let response = exchange(address, &format!("{head}\r\n\r\n")).await;
            assert_eq!(response.status, 405, "{head}: {response:?}");
            assert_eq!(response.problem(), "method-not-allowed");
            let allow = response.header("allow").unwrap();
            assert!(allow.contains("GET, HEAD"), "{allow}");
            assert_eq!(
                allow.contains("POST"),
                address == app.app.address,
                "{allow}"
            );
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_trace_and_unknown_methods_with_405() {
    let app = start().await;
    for (address, path) in listeners(&app) {
        for method in ["TRACE", "BREW", "PROPFIND", "get"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: test\r\nx-secret: echo\r\nconnection: close\r\n\r\n"
            );
            let response = exchange(address, &request).await;
            assert_eq!(response.status, 405, "{method}: {response:?}");
            assert!(response.header("allow").unwrap().contains("GET, HEAD"));
            assert!(!response.body.contains("echo"), "{}", response.body);
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_expectation_other_than_continue_with_417() {
    let app = start().await;
    for (address, path) in listeners(&app) {
        for expectation in ["meaning", "100-continue, 200-ok", "100-continue;q=1"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: test\r\nexpect: {expectation}\r\ncontent-length: 9\r\n\r\n"
            );
            let response = exchange(address, &request).await;
            assert_eq!(response.status, 417, "{expectation}: {response:?}");
            assert_eq!(response.problem(), "expectation-failed");
        }
    }
    let request = "POST /v1/sessions HTTP/1.1\r\nhost: test\r\nexpect: 100-Continue\r\n\
         connection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let response = exchange(app.app.address, request).await;
    assert!(response.was_continued, "{response:?}");
    assert_eq!(response.status, 422, "{response:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_ambiguous_framing_with_400() {
    let app = start().await;
    for (address, path) in listeners(&app) {
        for (version, fields) in [
            ("1.1", "content-length: 2\r\ntransfer-encoding: chunked"),
            ("1.1", "transfer-encoding: chunked\r\ncontent-length: 2"),
            ("1.1", "content-length: 2\r\ncontent-length: 3"),
            ("1.1", "content-length: 2\r\ncontent-length: 2"),
            ("1.1", "content-length: 2, 2"),
            ("1.1", "content-length: +2"),
            ("1.1", "content-length: -1"),
            ("1.1", "transfer-encoding: gzip, chunked"),
            ("1.1", "transfer-encoding: identity"),
            (
                "1.1",
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            ),
            ("1.0", "transfer-encoding: chunked"),
            ("1.1", "host: other"),
            (
                "1.1",
                "connection: upgrade\r\nupgrade: websocket\r\n\
                 content-length: 2\r\ntransfer-encoding: chunked",
            ),
        ] {
            for method in ["GET", "POST"] {
                let request =
                    format!("{method} {path} HTTP/{version}\r\nhost: test\r\n{fields}\r\n\r\n{{}}");
                let response = exchange(address, &request).await;
                assert_eq!(response.status, 400, "{method} {fields}: {response:?}");
            }
        }
        let without_host = format!("GET {path} HTTP/1.1\r\n\r\n");
        assert_eq!(exchange(address, &without_host).await.status, 400);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_path_and_absolute_form_targets_only() {
    let app = start().await;
    for (address, path) in listeners(&app) {
        for (target, status) in [
            (path.to_owned(), 200),
            (format!("http://test{path}"), 200),
            (
                format!("HTTP://test:80{path}?x"),
                if path == "/livez" { 200 } else { 422 },
            ),
            ("test".to_owned(), 400),
            ("test:80".to_owned(), 400),
            ("*".to_owned(), 400),
        ] {
            let request =
                format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
            let response = exchange(address, &request).await;
            assert_eq!(response.status, status, "{target}: {response:?}");
        }
    }
    app.finish().await;
}
