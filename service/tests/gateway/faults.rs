//! Every fault, and what the client makes of it.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::mpsc;
use std::time::Duration;

use orderly::payments::sandbox::EntryKind::Charge;
use orderly::payments::sandbox::SandboxGateway;
use orderly::payments::{GatewayError, RefundOutcome};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

use crate::support::{
    LONG_TIMEOUT, any_local_port, call, charge_id, clear_faults, client, kinds, lenient_client,
    set_faults, start,
};

/// Short, for requests that are never answered.
const SHORT_TIMEOUT: Duration = Duration::from_millis(200);

fn reason(error: GatewayError) -> String {
    match error {
        GatewayError::Transient { reason, .. } => reason,
        other => panic!("expected a transient error, got {other:?}"),
    }
}

fn is_reset(error: &GatewayError) -> bool {
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
async fn faults_before_charge_are_transient_and_record_nothing() {
    let gateway = start().await;
    let cases = [
        (json!({ "error_rate": 1 }), LONG_TIMEOUT, "status 503"),
        (
            json!({ "reset_rate": 1 }),
            LONG_TIMEOUT,
            "the connection broke",
        ),
        (json!({ "hang_rate": 1 }), SHORT_TIMEOUT, "timed out"),
        (json!({ "latency_ms": 60_000 }), SHORT_TIMEOUT, "timed out"),
    ];
    for (faults, timeout, expected) in cases {
        set_faults(&gateway, faults.clone()).await;
        let client = client(&gateway.url(), timeout);
        let order = Uuid::new_v4();
        let charge = client.charge(order, 1250, "EUR").await.unwrap_err();
        assert_eq!(reason(charge), expected, "{faults}");
        let refund = client.refund(order).await.unwrap_err();
        assert_eq!(reason(refund), expected, "{faults}");

        let (status, health) = call(&gateway, Method::GET, "/health", None, None).await;
        assert_eq!(
            (status, health),
            (StatusCode::OK, json!({ "status": "ok" }))
        );
    }
    assert_eq!(kinds(&gateway), []);

    clear_faults(&gateway).await;
    charge_id(
        lenient_client(&gateway)
            .charge(Uuid::new_v4(), 1250, "EUR")
            .await
            .unwrap(),
    );
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn retry_finds_charge_whose_response_was_lost() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let order = Uuid::new_v4();
    set_faults(&gateway, json!({ "charge_then_reset_rate": 1 })).await;

    let error = client.charge(order, 1250, "EUR").await.unwrap_err();
    assert!(error.is_transient());
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(kinds(&gateway), [Charge], "the money is taken all the same");

    clear_faults(&gateway).await;
    let id = charge_id(client.charge(order, 1250, "EUR").await.unwrap());
    assert_eq!(kinds(&gateway), [Charge]);
    assert_eq!(gateway.ledger()[0].id, id);
    assert_eq!(
        client.refund(order).await.unwrap(),
        RefundOutcome::Refunded { charge_id: id },
    );
    gateway.stop().await.unwrap();
}

/// A charge, byte by byte, on a connection of its own.
async fn send_charge(gateway: &SandboxGateway) -> TcpStream {
    let body = r#"{"reference":"order-1","amount_minor":1250,"currency":"EUR"}"#;
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
    let gateway = start().await;
    for fault in ["reset_rate", "charge_then_reset_rate"] {
        set_faults(&gateway, json!({ fault: 1 })).await;
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
    let gateway = start().await;
    set_faults(&gateway, json!({ "hang_rate": 1 })).await;
    let mut stream = send_charge(&gateway).await;
    // The gateway has one worker: once it has answered these, it has the charge too.
    for _ in 0..3 {
        call(&gateway, Method::GET, "/health", None, None).await;
    }

    tokio::time::timeout(LONG_TIMEOUT, gateway.stop())
        .await
        .expect("the stop ends")
        .unwrap();

    let mut received = Vec::new();
    let _ = tokio::time::timeout(LONG_TIMEOUT, stream.read_to_end(&mut received))
        .await
        .expect("the connection is cut");
    assert_eq!(received, b"");
}

#[tokio::test]
async fn hanging_request_ends_when_client_disconnects() {
    let gateway = start().await;
    set_faults(&gateway, json!({ "hang_rate": 1 })).await;
    let mut stream = send_charge(&gateway).await;

    stream.shutdown().await.unwrap();

    let mut received = Vec::new();
    let _ = tokio::time::timeout(LONG_TIMEOUT, stream.read_to_end(&mut received))
        .await
        .expect("the gateway lets go of the connection");
    assert_eq!(received, b"");
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn unreachable_gateway_is_transient() {
    // Taken, so that nobody else gets the port, and nobody listens on it.
    let bound_socket = TcpSocket::new_v4().unwrap();
    bound_socket.bind(any_local_port()).unwrap();
    let url = format!("http://{}", bound_socket.local_addr().unwrap());

    let error = client(&url, LONG_TIMEOUT)
        .charge(Uuid::new_v4(), 1250, "EUR")
        .await
        .unwrap_err();

    assert_eq!(reason(error), "cannot connect");
}

#[tokio::test]
async fn rejects_invalid_faults_and_changes_nothing() {
    let gateway = start().await;
    let current = json!({ "latency_ms": 1, "decline_rate": 0.5 });
    set_faults(&gateway, current).await;
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
        let (status, response) = call(&gateway, Method::PUT, "/faults", None, Some(faults)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let error = response["error"].as_str().unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let (_, faults) = call(&gateway, Method::GET, "/faults", None, None).await;
    assert_eq!(faults["latency_ms"], 1);
    assert_eq!(faults["decline_rate"], 0.5);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn put_faults_replaces_all_faults() {
    let gateway = start().await;
    let get = async || -> Value { call(&gateway, Method::GET, "/faults", None, None).await.1 };
    let clean = get().await;

    set_faults(
        &gateway,
        json!({ "latency_ms": 5, "decline_above_minor": 7 }),
    )
    .await;
    set_faults(&gateway, json!({ "error_rate": 0.25 })).await;
    let mut expected = clean.clone();
    expected["error_rate"] = json!(0.25);
    assert_eq!(get().await, expected);

    clear_faults(&gateway).await;
    assert_eq!(get().await, clean);
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn blocked_runtime_does_not_stall_other_callers() {
    let gateway = start().await;
    let client = lenient_client(&gateway);
    let (charged, has_charged) = mpsc::channel();
    let (release, until_released) = mpsc::channel::<()>();
    let blocked_thread = std::thread::spawn({
        let client = client.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let outcome = runtime.block_on(client.charge(Uuid::new_v4(), 1250, "EUR"));
            charged.send(outcome).unwrap();
            // Alive, and polling nothing: like an actix worker in a long computation.
            let _ = until_released.recv();
        }
    });
    let first = tokio::task::spawn_blocking(move || has_charged.recv().unwrap()).await;
    charge_id(first.unwrap().unwrap());

    let second = client.charge(Uuid::new_v4(), 1250, "EUR").await;

    charge_id(second.unwrap());
    drop(release);
    blocked_thread.join().unwrap();
    gateway.stop().await.unwrap();
}
