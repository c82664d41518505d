//! A gateway in this process, and a client for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sandbox_gateway::{EntryKind, LedgerEntry, SandboxGateway};
use serde_json::{Value, json};
use uuid::Uuid;

/// Longer than any response takes, so that only a real hang reaches it.
pub(crate) const LONG_TIMEOUT: Duration = Duration::from_secs(20);

/// A response: its status and its JSON.
pub(crate) type Response = (StatusCode, Value);

/// Sends requests to one gateway.
#[derive(Clone)]
pub(crate) struct TestClient {
    http: reqwest::Client,
    url: String,
}

impl TestClient {
    pub(crate) fn new(url: &str, timeout: Duration) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(timeout);
        Self {
            http: http.build().unwrap(),
            url: url.to_owned(),
        }
    }

    /// Sends a request with an idempotency key if it is not empty, and a body if it is not null.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: &Value,
    ) -> reqwest::Result<Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !key.is_empty() {
            request = request.header("Idempotency-Key", key);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await?;
        Ok((response.status(), response.json().await?))
    }

    /// Charges 12.50 EUR for a reference under that key.
    pub(crate) async fn try_charge(&self, key: &str, reference: &str) -> reqwest::Result<Response> {
        let body = charge_body(reference, 1250);
        self.send(Method::POST, "/charges", key, &body).await
    }

    /// Charges an amount for an order; the order id is the key.
    pub(crate) async fn charge(&self, order: &str, amount_minor: i64) -> Response {
        let body = charge_body(order, amount_minor);
        let sent = self.send(Method::POST, "/charges", order, &body);
        sent.await.unwrap()
    }

    /// Refunds an order.
    pub(crate) async fn refund(&self, order: &str) -> Response {
        let (key, body) = (format!("refund-{order}"), json!({ "reference": order }));
        let sent = self.send(Method::POST, "/refunds", &key, &body);
        sent.await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        let sent = self.send(Method::GET, path, "", &Value::Null);
        sent.await.unwrap()
    }

    pub(crate) async fn set_faults(&self, faults: Value) {
        let sent = self.send(Method::PUT, "/faults", "", &faults);
        let (status, body) = sent.await.unwrap();
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    pub(crate) async fn clear_faults(&self) {
        let sent = self.send(Method::DELETE, "/faults", "", &Value::Null);
        assert_eq!(sent.await.unwrap().0, StatusCode::OK);
    }
}

pub(crate) fn charge_body(reference: &str, amount_minor: i64) -> Value {
    json!({ "reference": reference, "amount_minor": amount_minor, "currency": "EUR" })
}

pub(crate) fn new_order() -> String {
    Uuid::new_v4().to_string()
}

/// Starts a gateway with its ledger in memory, and returns it with a client.
pub(crate) async fn start() -> (SandboxGateway, TestClient) {
    start_with_ledger(None).await.unwrap()
}

async fn start_with_ledger(
    ledger: Option<PathBuf>,
) -> std::io::Result<(SandboxGateway, TestClient)> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let gateway = SandboxGateway::start(loopback, ledger).await?;
    let client = TestClient::new(&gateway.url(), LONG_TIMEOUT);
    Ok((gateway, client))
}

pub(crate) fn kinds(gateway: &SandboxGateway) -> Vec<EntryKind> {
    let ledger: Vec<LedgerEntry> = gateway.ledger();
    ledger.iter().map(|entry| entry.kind).collect()
}

/// Path of the ledger file of one test; the file is removed with the value.
pub(crate) struct LedgerFile(pub(crate) PathBuf);

impl LedgerFile {
    pub(crate) fn new() -> Self {
        let name = format!("ledger-{}.jsonl", Uuid::new_v4());
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    pub(crate) async fn start(&self) -> std::io::Result<(SandboxGateway, TestClient)> {
        start_with_ledger(Some(self.0.clone())).await
    }
}

impl Drop for LedgerFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
