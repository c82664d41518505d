//! The binary as a process, with a database and a configuration directory of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use reqwest::Client;
use serde_json::Value;
use xtask::process::Signal;

use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::process::ChildProcess;
use crate::support::response::TestResponse;

/// A running `orderly serve`; killed when it is dropped.
pub struct ConfiguredService {
    process: ChildProcess,
    pub database: TestDatabase,
    pub config: PathBuf,
    pub client: Client,
    pub address: String,
    pub admin: String,
}

impl ConfiguredService {
    /// Starts it with settings as `section.key` and value, and waits until it is ready.
    pub async fn start(test: &str, settings: &[(&str, &str)]) -> Self {
        let config = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("process")
            .join(test);
        if config.exists() {
            fs::remove_dir_all(&config).unwrap();
        }
        fs::create_dir_all(&config).unwrap();
        let database = TestDatabase::new().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderly"));
        command
            .args(["serve", "--config-dir"])
            .arg(&config)
            .env_clear()
            .env("ORDERLY_ENV", "test")
            .env("ORDERLY__DATABASE__URL", &database.url)
            .current_dir(&config);
        let defaults = [
            ("http.port", "0"),
            ("admin.port", "0"),
            ("log.format", "json"),
            ("shutdown.drain_delay", "0s"),
            // A busy machine is no lost database.
            ("health.timeout", "1m"),
            ("database.acquire_timeout", "1m"),
            ("database.connect_timeout", "1m"),
        ];
        for (key, value) in defaults.iter().chain(settings) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let process = ChildProcess::start(&mut command);
        let ready = process.wait_for_log("ready").await;
        let url = |field: &str| format!("http://{}", ready[field].as_str().unwrap());
        Self {
            process,
            database,
            config,
            client: Client::builder().no_proxy().build().unwrap(),
            address: url("address"),
            admin: url("admin_address"),
        }
    }

    /// `GET` on the API.
    pub async fn get(&self, path: &str) -> reqwest::Result<TestResponse> {
        let url = format!("{}{path}", self.address);
        Ok(TestResponse::read(self.client.get(url).send().await?).await)
    }

    /// `GET` on the admin listener.
    pub async fn get_admin(&self, path: &str) -> TestResponse {
        let url = format!("{}{path}", self.admin);
        TestResponse::read(self.client.get(url).send().await.unwrap()).await
    }

    /// The value of a metric without labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get_admin("/metrics").await.text;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until the log has a line with that message.
    pub async fn wait_for_log(&self, message: &str) -> Value {
        self.process.wait_for_log(message).await
    }

    /// Returns `true` if a line of the log satisfies `condition`.
    pub fn has_logged(&self, condition: impl Fn(&Value) -> bool) -> bool {
        self.process.log().iter().any(condition)
    }

    /// Waits until `/readyz` gives a reason why not.
    pub async fn wait_until_not_ready(&self) -> String {
        eventually("it is not ready", async || {
            let response = self.get_admin("/readyz").await;
            let reason = response.json()["reason"].as_str().map(str::to_owned);
            (response.status == 503).then_some(reason).flatten()
        })
        .await
    }

    /// Waits for its end and returns its exit code.
    pub async fn exit_code(&mut self) -> Option<i32> {
        self.process.exit_code().await
    }
}
