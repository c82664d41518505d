//! The payment gateway of a test: its ledger, its outages, and the order transitions
//! that end in it.

use std::net::SocketAddr;

use diesel_async::SimpleAsyncConnection as _;
use orderly::payments::LedgerEntry;
use reqwest::Method;
use sandbox_gateway::{EntryKind, SandboxGateway};
use serde_json::{Value, json};

use super::app::{TestApp, send};
use super::fixtures::id;
use super::response::TestResponse;

/// Starts a gateway in this process, on a free port and with its ledger in memory.
pub async fn start_gateway() -> SandboxGateway {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    SandboxGateway::start(loopback, None).await.unwrap()
}

/// Returns the ledger of a gateway as the service reads it.
pub fn read_ledger(gateway: &SandboxGateway) -> Vec<LedgerEntry> {
    let json = serde_json::to_value(gateway.ledger()).unwrap();
    serde_json::from_value(json).unwrap()
}

impl TestApp {
    /// Makes the gateway return 503 and do nothing. Restore it before the end of a test:
    /// the invariants are checked once all payments have been retried.
    pub async fn fail_gateway(&self) {
        self.set_faults(&json!({"error_rate": 1.0})).await;
    }

    /// Ends all faults of the gateway.
    pub async fn restore_gateway(&self) {
        self.set_faults(&json!({})).await;
    }

    /// Returns the ledger entries of an order, oldest first.
    pub fn ledger_of(&self, order: &Value) -> Vec<EntryKind> {
        let entries = self.gateway.ledger().into_iter();
        entries
            .filter(|entry| entry.reference == id(order))
            .map(|entry| entry.kind)
            .collect()
    }

    /// Makes the expiry of an order due now.
    pub async fn end_payment_window(&self, order: &Value) {
        let expiry = format!(
            "UPDATE jobs SET run_at = now(), due_at = now()
             WHERE kind = 'order_expiry' AND key = '{}'",
            id(order)
        );
        let mut conn = self.database.connect().await;
        conn.batch_execute(&expiry).await.unwrap();
    }

    /// `POST /v1/orders/{id}/cancel` or `…/ship`.
    pub async fn transition_order(&self, token: &str, order: &Value, action: &str) -> TestResponse {
        let path = format!("/v1/orders/{}/{action}", id(order));
        send(self.request(Method::POST, &path), token).await
    }
}
