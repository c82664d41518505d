//! Faults of the gateway, as the client reports them.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::mpsc;
use std::time::Duration;

use orderly::payments::{GatewayError, RefundOutcome};
use sandbox_gateway::EntryKind::Charge;
use serde_json::json;
use tokio::net::TcpSocket;
use uuid::Uuid;

use crate::support::{
    LONG_TIMEOUT, any_local_port, charge_id, clear_faults, client, kinds, lenient_client,
    set_faults, start,
};

/// Short, for requests that get no response.
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

#[tokio::test]
async fn unreachable_gateway_is_transient() {
    // The port is bound and has no listener.
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
