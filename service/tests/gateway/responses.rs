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

/// The error of a charge of 12.50 EUR for that order that gets this response.
async fn charge_error_of(order: Uuid, response: String) -> GatewayError {
    let client = client(&respond_once(response).await, LONG_TIMEOUT);
    client.charge(order, 1250, "EUR").await.unwrap_err()
}

async fn charge_error(response: String) -> GatewayError {
    charge_error_of(Uuid::new_v4(), response).await
}

async fn refund_error(response: String) -> GatewayError {
    let client = client(&respond_once(response).await, LONG_TIMEOUT);
    client.refund(Uuid::new_v4()).await.unwrap_err()
}

fn with_media_type(media_type: &str, response: &str) -> String {
    let header = format!("Content-Type: {media_type}\r\nContent-Length");
    response.replacen("Content-Length", &header, 1)
}

#[tokio::test]
async fn unreadable_responses_are_transient() {
    let succeeded = r#"{"status":"succeeded","id":"ch_1"}"#;
    let huge = format!(r#"{{"status":"succeeded","id":"{}"}}"#, "x".repeat(100_000));
    let cut_short = http("200 OK", succeeded).replace("Content-Length: 3", "Content-Length: 30");
    let responses = [
        http("200 OK", r#"{"status":"pending"}"#),
        http("201 Created", ""),
        http("200 OK", &huge),
        // Only a 402 may decline, and only a 2xx may charge.
        http(
            "200 OK",
            r#"{"status":"declined","reason":"insufficient_funds"}"#,
        ),
        http("402 Payment Required", succeeded),
        http("409 Conflict", r#"{"error":"busy"}"#),
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
async fn responses_of_other_servers_are_transient() {
    let page = "<html>welcome to the hotel's wifi</html>";
    let redirect = "HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\n\
                    Content-Length: 0\r\n\r\n";
    let declined = r#"{"status":"declined","reason":"insufficient_funds"}"#;
    let responses = [
        with_media_type("text/html", &http("200 OK", page)),
        http("200 OK", r#"{"status":"ok"}"#),
        http("402 Payment Required", "pay the proxy"),
        with_media_type("text/html", &http("402 Payment Required", declined)),
        http("409 Conflict", r#"{"message":"busy"}"#),
        http("400 Bad Request", "no such currency"),
        http("400 Bad Request", r#"{"message":"bad request"}"#),
        http(
            "400 Bad Request",
            r#"{"error":"Bad Request","path":"/charges"}"#,
        ),
        with_media_type("text/html", &http("422 Unprocessable Content", page)),
        http("401 Unauthorized", ""),
        http("401 Unauthorized", r#"{"error":"no credentials"}"#),
        http("403 Forbidden", r#"{"error":"not from this network"}"#),
        http("404 Not Found", ""),
        http("404 Not Found", r#"{"error":"no such route"}"#),
        http("405 Method Not Allowed", ""),
        http("301 Moved Permanently", page),
        redirect.to_owned(),
    ];
    for response in responses {
        let charge = charge_error(response.clone()).await;
        assert!(charge.is_transient(), "{response:?} gave {charge:?}");
        let refund = refund_error(response.clone()).await;
        assert!(refund.is_transient(), "{response:?} gave {refund:?}");
    }
}

#[tokio::test]
async fn error_names_status_and_media_type_of_other_server() {
    let page = with_media_type("text/html; charset=utf-8", &http("404 Not Found", "<html>"));
    let error = charge_error(page).await.to_string();
    assert!(
        error.contains("status 404 (text/html; charset=utf-8)"),
        "{error}"
    );
    assert!(error.contains("another server"), "{error}");
}

#[tokio::test]
async fn charge_of_other_order_or_amount_is_transient() {
    let order = Uuid::new_v4();
    let succeeded = |reference: Uuid, amount_minor: i64, currency: &str| {
        format!(
            r#"{{"status":"succeeded","id":"ch_1","reference":"{reference}","amount_minor":{amount_minor},"currency":"{currency}"}}"#
        )
    };
    let other = Uuid::new_v4();
    let bodies = [
        ("201 Created", succeeded(other, 1250, "EUR")),
        ("201 Created", succeeded(order, 1251, "EUR")),
        ("201 Created", succeeded(order, 1250, "USD")),
        (
            "201 Created",
            succeeded(order, 1250, "EUR").replace("ch_1", ""),
        ),
        (
            "201 Created",
            r#"{"status":"succeeded","id":"ch_1"}"#.to_owned(),
        ),
        (
            "402 Payment Required",
            format!(r#"{{"status":"declined","reason":"no","reference":"{other}"}}"#),
        ),
        (
            "409 Conflict",
            format!(r#"{{"status":"voided","reference":"{other}"}}"#),
        ),
    ];
    for (status, body) in bodies {
        let error = charge_error_of(order, http(status, &body)).await;
        assert!(error.is_transient(), "{body} gave {error:?}");
    }
    let own = http("201 Created", &succeeded(order, 1250, "EUR"));
    let client = client(&respond_once(own).await, LONG_TIMEOUT);
    client.charge(order, 1250, "EUR").await.unwrap();
}

#[tokio::test]
async fn error_documents_of_gateway_are_permanent() {
    let document = r#"{"error":"no such currency"}"#;
    for status in [400, 413, 415, 422] {
        let response = http(&format!("{status} Rejected"), document);
        let response = with_media_type("application/json", &response);
        match charge_error(response).await {
            GatewayError::Permanent {
                status: found,
                detail,
            } => assert_eq!((found, &*detail), (status, "no such currency")),
            other => panic!("status {status} gave {other:?}"),
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
