//! The payment gateway as the other side of a test: its ledger, its bad days, and
//! a second replica that shares it.

use orderly::app::App;
use orderly::config::Settings;
use orderly::payments::sandbox::EntryKind;
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::app::{TestApp, send, settings};
use super::shop::id;

impl TestApp {
    /// From now on it answers 503 and does nothing. Let it come back before the end:
    /// the books wait for payments that are tried again.
    pub async fn gateway_goes_down(&self) {
        self.faults(&json!({"error_rate": 1.0})).await;
    }

    /// From now on it does what it is asked.
    pub async fn gateway_comes_back(&self) {
        self.faults(&json!({})).await;
    }

    /// What the ledger says of an order, oldest first.
    pub fn ledger_of(&self, order: &Value) -> Vec<EntryKind> {
        let entries = self.gateway.ledger().into_iter();
        entries
            .filter(|entry| entry.reference == id(order))
            .map(|entry| entry.kind)
            .collect()
    }

    /// A second replica on the same database and gateway, with settings changed.
    pub async fn replica_with(&self, change: impl FnOnce(&mut Settings)) -> App {
        let mut settings = settings(&self.database, &self.gateway);
        change(&mut settings);
        App::start(&settings).await.unwrap()
    }

    /// `POST /v1/orders/{id}/cancel` or `…/ship`.
    pub async fn order_move(&self, token: &str, order: &Value, name: &str) -> Answer {
        let path = format!("/v1/orders/{}/{name}", id(order));
        send(self.request(Method::POST, &path), token).await
    }
}
