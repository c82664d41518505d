//! A gateway in this process, and clients for it.

use std::net::SocketAddr;
use std::time::Duration;

use orderly::config::PaymentsConfig;
use orderly::payments::{ChargeOutcome, PaymentGateway};
use reqwest::StatusCode;
use sandbox_gateway::{EntryKind, SandboxGateway};
use serde_json::{Value, json};

/// Longer than any response takes, so that only a real hang reaches it.
pub(crate) const LONG_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) fn any_local_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) async fn start() -> SandboxGateway {
    SandboxGateway::start(any_local_port(), None).await.unwrap()
}

/// A client that waits for a response for `timeout`.
pub(crate) fn client(url: &str, timeout: Duration) -> PaymentGateway {
    PaymentGateway::new(&config(url, timeout)).unwrap()
}

pub(crate) fn config(url: &str, timeout: Duration) -> PaymentsConfig {
    PaymentsConfig {
        gateway_url: url.to_owned(),
        connect_timeout: LONG_TIMEOUT,
        read_timeout: LONG_TIMEOUT,
        timeout,
        ..PaymentsConfig::default()
    }
}

pub(crate) fn lenient_client(gateway: &SandboxGateway) -> PaymentGateway {
    client(&gateway.url(), LONG_TIMEOUT)
}

pub(crate) fn charge_id(outcome: ChargeOutcome) -> String {
    match outcome {
        ChargeOutcome::Charged { charge_id } => charge_id,
        other => panic!("expected a charge, got {other:?}"),
    }
}

pub(crate) fn kinds(gateway: &SandboxGateway) -> Vec<EntryKind> {
    gateway.ledger().iter().map(|entry| entry.kind).collect()
}

/// Replaces the faults.
pub(crate) async fn set_faults(gateway: &SandboxGateway, faults: Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/faults", gateway.url());
    let response = http.put(url).json(&faults).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{faults}");
}

pub(crate) async fn clear_faults(gateway: &SandboxGateway) {
    set_faults(gateway, json!({})).await;
}
