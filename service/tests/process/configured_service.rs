//! The binary as a process, with a database and a configuration directory of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use std::io::{BufRead as _, BufReader};

use reqwest::Client;
use serde_json::Value;

use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::response::TestResponse;

/// A running `orderly serve`; killed when it is dropped.
pub struct ConfiguredService {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
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
            .current_dir(&config)
            .stdout(Stdio::piped());
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
        let mut child = command.spawn().unwrap();
        let log = collect(&mut child);
        let ready = log_line(&log, "ready").await;
        let url = |field: &str| format!("http://{}", ready[field].as_str().unwrap());
        Self {
            child,
            database,
            config,
            client: Client::builder().no_proxy().build().unwrap(),
            address: url("address"),
            admin: url("admin_address"),
            log,
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

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the log has a line with that message.
    pub async fn wait_for_log(&self, message: &str) -> Value {
        log_line(&self.log, message).await
    }

    /// Whether the log has a line for which that holds.
    pub fn has_logged(&self, what: impl Fn(&Value) -> bool) -> bool {
        self.log.lock().unwrap().iter().any(what)
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

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        eventually("the process ends", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for ConfiguredService {
    fn drop(&mut self) {
        let _it_may_have_ended = self.child.kill();
        let _it_may_have_ended = self.child.wait();
    }
}

fn collect(child: &mut Child) -> Arc<Mutex<Vec<Value>>> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let log = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&log);
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            collected.lock().unwrap().push(line);
        }
    });
    log
}

async fn log_line(log: &Mutex<Vec<Value>>, message: &str) -> Value {
    eventually(&format!("the log says {message:?}"), async || {
        let log = log.lock().unwrap();
        log.iter().find(|line| line["message"] == message).cloned()
    })
    .await
}
