//! What every test here starts with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use orderly::config::PaymentsConfig;
use orderly::payments::sandbox::{EntryKind, SandboxGateway};
use orderly::payments::{ChargeOutcome, PaymentGateway};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use uuid::Uuid;

/// Longer than any answer takes, so that only a real hang reaches it.
pub(crate) const LONG_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) fn any_local_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) async fn start() -> SandboxGateway {
    SandboxGateway::start(any_local_port(), None).await.unwrap()
}

/// A client that gives up on an answer after `timeout`.
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

/// One request past the client, as `curl` would send it.
pub(crate) async fn call(
    gateway: &SandboxGateway,
    method: Method,
    path: &str,
    key: Option<&str>,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.request(method, format!("{}{path}", gateway.url()));
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

pub(crate) async fn set_faults(gateway: &SandboxGateway, faults: Value) {
    let (status, body) = call(gateway, Method::PUT, "/faults", None, Some(faults)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

pub(crate) async fn clear_faults(gateway: &SandboxGateway) {
    let (status, _) = call(gateway, Method::DELETE, "/faults", None, None).await;
    assert_eq!(status, StatusCode::OK);
}

/// A path of a ledger file of one test, removed at its end.
pub(crate) struct LedgerFile(pub(crate) PathBuf);

impl LedgerFile {
    pub(crate) fn new() -> Self {
        let name = format!("ledger-{}.jsonl", Uuid::new_v4());
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    pub(crate) async fn start(&self) -> std::io::Result<SandboxGateway> {
        SandboxGateway::start(any_local_port(), Some(self.0.clone())).await
    }
}

impl Drop for LedgerFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
