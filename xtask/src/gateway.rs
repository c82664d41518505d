//! The sandbox payment gateway.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::bail;

use crate::data_dir::DataDir;
use crate::http::send_request;
use crate::process::{ManagedProcess, Role, wait_until_ready};
use crate::program::last_log_lines;

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running gateway, with its ledger in a data folder; stopped when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    port: u16,
    _process: ManagedProcess,
}

impl Gateway {
    /// Starts it.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn start(data: &DataDir, program: &Path, port: u16) -> anyhow::Result<Self> {
        let log = data.path().join("gateway.log");
        let output = File::create(&log)?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .env("SANDBOX_GATEWAY_PORT", port.to_string());
        command.env(
            "SANDBOX_GATEWAY_LEDGER_PATH",
            data.path().join("gateway-ledger.json"),
        );
        command.stdout(output.try_clone()?).stderr(output);
        let mut process = ManagedProcess::spawn(Role::Gateway, &mut command, data.path())?;
        let is_healthy = || {
            let response = send_request(port, "GET", "/health", &[], "");
            response.is_ok_and(|response| response.status == 200)
        };
        if !wait_until_ready(START_TIMEOUT, &mut process, is_healthy)? {
            let end = last_log_lines(&log, 5);
            bail!(
                "the sandbox gateway did not start; {} ends with: {end}",
                log.display()
            );
        }
        Ok(Self {
            port,
            _process: process,
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
