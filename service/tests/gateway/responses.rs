//! Responses that the sandbox gateway never sends: those of a proxy, a broken gateway or a wrong
//! address.

use orderly::payments::{GatewayError, PaymentGateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::{LONG_TIMEOUT, any_local_port, client, config};

/// A server that answers one request with these bytes, and its base URL.
async fn respond_once(response: String) -> String {
    let listener = TcpListener::bind(any_local_port()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            stream.read_buf(&mut request).await.unwrap();
        }
        // The client may have read enough before this is all sent.
        let _ = stream.write_all(response.as_bytes()).await;
    });
    url
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn charge_error(response: String) -> GatewayError {
    let client = client(&respond_once(response).await, LONG_TIMEOUT);
    client
        .charge(Uuid::new_v4(), 1250, "EUR")
        .await
        .unwrap_err()
}

#[tokio::test]
async fn unreadable_responses_are_transient() {
    let succeeded = r#"{"status":"succeeded","id":"ch_1"}"#;
    let huge = format!(r#"{{"status":"succeeded","id":"{}"}}"#, "x".repeat(100_000));
    let cut_short = http("200 OK", succeeded).replace("Content-Length: 3", "Content-Length: 30");
    let responses = [
        http("200 OK", "<html>welcome to the hotel's wifi</html>"),
        http("200 OK", r#"{"status":"pending"}"#),
        http("201 Created", ""),
        http("200 OK", &huge),
        // Only a 402 may decline, and only a 2xx may charge.
        http(
            "200 OK",
            r#"{"status":"declined","reason":"insufficient_funds"}"#,
        ),
        http("402 Payment Required", succeeded),
        http("402 Payment Required", "pay the proxy"),
        http("409 Conflict", "busy"),
        http("408 Request Timeout", ""),
        http("425 Too Early", ""),
        http("429 Too Many Requests", ""),
        http("500 Internal Server Error", succeeded),
        http("504 Gateway Timeout", ""),
        cut_short,
        "not http\r\n\r\n".to_owned(),
        String::new(),
    ];
    for response in responses {
        let shown = response.chars().take(80).collect::<String>();
        let error = charge_error(response).await;
        assert!(error.is_transient(), "{shown:?} gave {error:?}");
    }
}

#[tokio::test]
async fn non_retryable_responses_are_permanent() {
    let redirect = "HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\n\
                    Content-Length: 0\r\n\r\n";
    let responses = [
        (http("400 Bad Request", "no such currency"), 400),
        (http("401 Unauthorized", ""), 401),
        (http("404 Not Found", ""), 404),
        (redirect.to_owned(), 307),
    ];
    for (response, expected) in responses {
        match charge_error(response).await {
            GatewayError::Permanent { status, .. } => assert_eq!(status, expected),
            other => panic!("status {expected} gave {other:?}"),
        }
    }
}

#[tokio::test]
async fn rejects_invalid_gateway_url_at_startup() {
    for url in ["", "gateway:8090", "ftp://gateway", "http://"] {
        let error = PaymentGateway::new(&config(url, LONG_TIMEOUT)).unwrap_err();
        assert!(
            error.to_string().contains("URL is unusable"),
            "{url}: {error}"
        );
    }
    // Neither is the address shown, since it may hold a password.
    let error = PaymentGateway::new(&config("ftp://u:secret@host", LONG_TIMEOUT)).unwrap_err();
    assert!(!error.to_string().contains("secret"));
}
