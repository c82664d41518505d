//! Every fault, as a client sees it.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sandbox_gateway::EntryKind::Charge;
use sandbox_gateway::SandboxGateway;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{LONG_TIMEOUT, TestClient, charge_body, kinds, new_order, start};

/// Short, for requests that get no response.
const SHORT_TIMEOUT: Duration = Duration::from_millis(200);

fn is_reset(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.kind() == ErrorKind::ConnectionReset;
        }
        cause = error.source();
    }
    false
}

#[tokio::test]
async fn faults_before_charge_record_nothing() {
    let (gateway, client) = start().await;
    let impatient = TestClient::new(&gateway.url(), SHORT_TIMEOUT);

    client.set_faults(json!({ "error_rate": 1 })).await;
    let (charged, _) = client.charge(&new_order(), 1250).await;
    let (refunded, _) = client.refund(&new_order()).await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!((charged, refunded), (unavailable, unavailable));

    client.set_faults(json!({ "reset_rate": 1 })).await;
    let error = client.try_charge("k", &new_order()).await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");

    for faults in [json!({ "hang_rate": 1 }), json!({ "latency_ms": 60_000 })] {
        client.set_faults(faults.clone()).await;
        let error = impatient.try_charge("k", &new_order()).await.unwrap_err();
        assert!(error.is_timeout(), "{faults}: {error:?}");
        let healthy = (StatusCode::OK, json!({ "status": "ok" }));
        assert_eq!(client.get("/health").await, healthy, "{faults}");
    }
    assert_eq!(kinds(&gateway), []);

    client.clear_faults().await;
    let (charged, _) = client.charge(&new_order(), 1250).await;
    assert_eq!(charged, StatusCode::CREATED);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn retry_finds_charge_whose_response_was_lost() {
    let (gateway, client) = start().await;
    let order = new_order();
    client
        .set_faults(json!({ "charge_then_reset_rate": 1 }))
        .await;

    let error = client.try_charge(&order, &order).await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(kinds(&gateway), [Charge], "the money is taken all the same");

    client.clear_faults().await;
    let (status, charge) = client.charge(&order, 1250).await;
    assert_eq!(status, StatusCode::OK, "a repeat");
    assert_eq!(kinds(&gateway), [Charge]);
    assert_eq!(gateway.ledger()[0].id, charge["id"]);
    gateway.stop().await.unwrap();
}

/// Sends a charge on a connection of its own.
async fn send_charge(gateway: &SandboxGateway) -> TcpStream {
    let body = charge_body("order-1", 1250).to_string();
    let request = format!(
        "POST /charges HTTP/1.1\r\nHost: gateway\r\nIdempotency-Key: k\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len(),
    );
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn reset_fault_sends_tcp_reset() {
    let (gateway, client) = start().await;
    for fault in ["reset_rate", "charge_then_reset_rate"] {
        client.set_faults(json!({ fault: 1 })).await;
        let mut stream = send_charge(&gateway).await;
        let mut received = Vec::new();
        let error = stream.read_to_end(&mut received).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{fault}");
        assert_eq!(received, b"", "{fault}");
    }
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn hanging_request_does_not_delay_gateway_stop() {
    let (gateway, client) = start().await;
    client.set_faults(json!({ "hang_rate": 1 })).await;
    let mut stream = send_charge(&gateway).await;
    // The gateway has one worker: once it has responded to these, it has the charge too.
    for _ in 0..3 {
        client.get("/health").await;
    }

    tokio::time::timeout(LONG_TIMEOUT, gateway.stop())
        .await
        .expect("the stop ends")
        .unwrap();

    let mut received = Vec::new();
    let _ = tokio::time::timeout(LONG_TIMEOUT, stream.read_to_end(&mut received))
        .await
        .expect("the connection is closed");
    assert_eq!(received, b"");
}

#[tokio::test]
async fn hanging_request_ends_when_client_disconnects() {
    let (gateway, client) = start().await;
    client.set_faults(json!({ "hang_rate": 1 })).await;
    let mut stream = send_charge(&gateway).await;

    stream.shutdown().await.unwrap();

    let mut received = Vec::new();
    let _ = tokio::time::timeout(LONG_TIMEOUT, stream.read_to_end(&mut received))
        .await
        .expect("the gateway closes the connection");
    assert_eq!(received, b"");
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn rejects_invalid_faults_and_changes_nothing() {
    let (gateway, client) = start().await;
    client
        .set_faults(json!({ "latency_ms": 1, "decline_rate": 0.5 }))
        .await;
    let cases = [
        (
            json!({ "error_rate": 1.5 }),
            "error_rate must be from 0 to 1, got 1.5",
        ),
        (
            json!({ "hang_rate": -0.1 }),
            "hang_rate must be from 0 to 1, got -0.1",
        ),
        (
            json!({ "latency_ms": 60_001 }),
            "latency_ms must be from 0 to 60000, got 60001",
        ),
        (
            json!({ "decline_above_minor": -1 }),
            "decline_above_minor must not be negative",
        ),
        (json!({ "eror_rate": 0.5 }), "unknown field `eror_rate`"),
        (json!({ "error_rate": "often" }), "invalid type"),
    ];
    for (faults, expected) in cases {
        let sent = client.send(Method::PUT, "/faults", "", &faults);
        let (status, response) = sent.await.unwrap();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let error = response["error"].as_str().unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let (_, faults) = client.get("/faults").await;
    assert_eq!(faults["latency_ms"], 1);
    assert_eq!(faults["decline_rate"], 0.5);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn put_faults_replaces_all_faults() {
    let (gateway, client) = start().await;
    let (_, no_faults) = client.get("/faults").await;

    client
        .set_faults(json!({ "latency_ms": 5, "decline_above_minor": 7 }))
        .await;
    client.set_faults(json!({ "error_rate": 0.25 })).await;
    let mut expected = no_faults.clone();
    expected["error_rate"] = json!(0.25);
    assert_eq!(client.get("/faults").await.1, expected);

    client.clear_faults().await;
    assert_eq!(client.get("/faults").await.1, no_faults);
    gateway.stop().await.unwrap();
}
