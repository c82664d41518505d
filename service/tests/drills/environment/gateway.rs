//! The payment gateway of a drill, in this process and with its ledger in a file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use orderly::payments::LedgerEntry;
use sandbox_gateway::SandboxGateway;
use serde_json::Value;

use crate::support::gateway::read_ledger;

/// A gateway that keeps its port and its ledger over a restart.
pub struct Gateway {
    /// `None` while it is down.
    running: Option<SandboxGateway>,
    address: SocketAddr,
    ledger_file: PathBuf,
    client: reqwest::Client,
}

impl Gateway {
    /// Starts it on a free port.
    pub async fn start(folder: &Path) -> Self {
        let ledger_file = folder.join("ledger.jsonl");
        let gateway = start(SocketAddr::from(([127, 0, 0, 1], 0)), &ledger_file).await;
        Self {
            address: gateway.address(),
            running: Some(gateway),
            ledger_file,
            client: super::client(),
        }
    }

    /// Returns its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces its faults; see `PUT /faults`. `{}` ends all faults.
    pub async fn set_faults(&self, faults: Value) -> Instant {
        let url = format!("{}/faults", self.url());
        let response = self.client.put(url).json(&faults).send().await.unwrap();
        assert!(response.status().is_success(), "{faults}");
        Instant::now()
    }

    /// Returns all charges and refunds.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        read_ledger(self.running.as_ref().expect("the gateway is up"))
    }

    /// Closes all its connections and its port, as a crash does.
    pub async fn kill(&mut self) {
        let gateway = self.running.take().expect("the gateway is up");
        gateway.stop().await.unwrap();
    }

    /// Starts it again, and returns the time from which it responds.
    pub async fn restart(&mut self) -> Instant {
        self.running = Some(start(self.address, &self.ledger_file).await);
        Instant::now()
    }
}

async fn start(address: SocketAddr, ledger_file: &Path) -> SandboxGateway {
    let ledger = Some(ledger_file.to_owned());
    SandboxGateway::start(address, ledger).await.unwrap()
}
