//! The payment gateway of a drill: `orderly sandbox-gateway`, with its ledger in a file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use orderly::payments::sandbox::LedgerEntry;
use serde_json::Value;

use super::free_port;
use super::process::LoggedProcess;
use crate::support::eventually::eventually;

/// It keeps its port and its ledger over a restart.
pub struct GatewayProcess {
    process: LoggedProcess,
    folder: PathBuf,
    port: u16,
    client: reqwest::Client,
}

impl GatewayProcess {
    /// Starts it.
    pub async fn start(folder: &Path) -> Self {
        let port = free_port();
        let gateway = Self {
            process: process(folder, port),
            folder: folder.to_owned(),
            port,
            client: super::client(),
        };
        gateway.wait_until_healthy().await;
        gateway
    }

    /// Its root.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes it fail from now on; see `PUT /faults`. `{}` ends all faults.
    pub async fn set_faults(&self, faults: Value) -> Instant {
        let url = format!("{}/faults", self.url());
        let response = self.client.put(url).json(&faults).send().await.unwrap();
        assert!(response.status().is_success(), "{faults}");
        Instant::now()
    }

    /// What it took and gave back.
    pub async fn ledger(&self) -> Vec<LedgerEntry> {
        let url = format!("{}/ledger", self.url());
        let response = self.client.get(url).send().await.unwrap();
        let mut body: Value = response.json().await.unwrap();
        serde_json::from_value(body["entries"].take()).unwrap()
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, and says since when it answers.
    pub async fn restart(&mut self) -> Instant {
        self.process = process(&self.folder, self.port);
        self.wait_until_healthy().await;
        Instant::now()
    }

    async fn wait_until_healthy(&self) {
        let url = format!("{}/health", self.url());
        eventually("the gateway answers", async || {
            self.client.get(&url).send().await.ok()
        })
        .await;
    }
}

fn process(folder: &Path, port: u16) -> LoggedProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderly"));
    command
        .current_dir(folder)
        .env_clear()
        .arg("sandbox-gateway")
        .args(["--set", &format!("sandbox_gateway.port={port}")])
        .args(["--config-dir", super::CONFIG, "--ledger", "ledger.jsonl"]);
    LoggedProcess::start(&mut command, folder.join("gateway.log"))
}
