//! One replica of the service: `orderly serve`, as it would run anywhere.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use xtask::process::Signal;

use super::dependencies::Dependencies;
use super::process::LoggedProcess;
use crate::support::eventually::eventually;

/// Where it listens does not change when it is started again.
pub struct Replica {
    pub name: String,
    pub api: SocketAddr,
    pub admin: SocketAddr,
    process: LoggedProcess,
    settings: Vec<String>,
    urls: [(&'static str, String); 2],
    client: reqwest::Client,
}

impl Replica {
    /// Starts one with `settings` of the form `section.key=value`, and waits until it
    /// is ready.
    pub async fn start(
        folder: &Path,
        name: &str,
        dependencies: &Dependencies,
        settings: &[String],
    ) -> Self {
        let urls = [
            ("ORDERLY__DATABASE__URL", dependencies.database_url.clone()),
            ("ORDERLY__REDIS__URL", dependencies.redis_url.clone()),
        ];
        let any_ports = ["http.port=0".to_owned(), "admin.port=0".to_owned()];
        let all: Vec<String> = settings.iter().cloned().chain(any_ports).collect();
        let process = run(&["serve"], folder, &format!("{name}.log"), &urls, &all);
        let (api, admin) =
            eventually("the service is ready", async || addresses(&process.log())).await;
        let ports = [
            format!("http.port={}", api.port()),
            format!("admin.port={}", admin.port()),
        ];
        Self {
            name: name.to_owned(),
            api,
            admin,
            process,
            settings: settings.iter().cloned().chain(ports).collect(),
            urls,
            client: super::client(),
        }
    }

    /// Brings the database's schema up.
    pub async fn migrate(folder: &Path, dependencies: &Dependencies) {
        let urls = [("ORDERLY__DATABASE__URL", dependencies.database_url.clone())];
        let ended = run(&["migrate"], folder, "migrate.log", &urls, &[])
            .wait()
            .await;
        assert!(ended.success(), "see migrate.log");
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it with SIGSTOP: connections stay open, nothing is answered.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Asks it to stop, as an orchestrator does, waits for its end, and says how long
    /// that took.
    pub async fn stop(&mut self) -> Duration {
        let sent_at = Instant::now();
        self.process.signal(Signal::TERM);
        let ended = self.process.wait().await;
        assert!(ended.success(), "{}: {ended}", self.name);
        sent_at.elapsed()
    }

    /// Starts it again on the same ports, and waits until it is ready.
    pub async fn restart(&mut self, folder: &Path) {
        let log = format!("{}.log", self.name);
        self.process = run(&["serve"], folder, &log, &self.urls, &self.settings);
        eventually("the service is ready again", async || {
            assert!(!self.process.has_exited(), "it ended: see {log}");
            (self.probe("/readyz").await == Some(200)).then_some(())
        })
        .await;
    }

    /// Returns what it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The status of a probe on the admin listener: none if nobody is there.
    pub async fn probe(&self, path: &str) -> Option<u16> {
        let url = format!("http://{}{path}", self.admin);
        let response = self.client.get(url).send().await.ok()?;
        Some(response.status().as_u16())
    }

    /// Waits until a probe has that status.
    pub async fn wait_for_probe(&self, path: &str, status: u16) {
        eventually(&format!("{path} is {status}"), async || {
            (self.probe(path).await == Some(status)).then_some(())
        })
        .await;
    }

    /// A metric, by its name and labels as `/metrics` writes them; 0 if it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let url = format!("http://{}/metrics", self.admin);
        let text = self.client.get(url).send().await.unwrap().text().await;
        let value = |line: &str| line.strip_prefix(series)?.trim().parse().ok();
        text.unwrap().lines().find_map(value).unwrap_or(0.0)
    }

    /// Waits until a metric satisfies `condition`.
    pub async fn wait_for_metric(&self, series: &str, condition: impl Fn(f64) -> bool) {
        eventually(series, async || {
            condition(self.metric(series).await).then_some(())
        })
        .await;
    }
}

fn run(
    command: &[&str],
    folder: &Path,
    log: &str,
    urls: &[(&'static str, String)],
    settings: &[String],
) -> LoggedProcess {
    let mut process = Command::new(env!("CARGO_BIN_EXE_orderly"));
    process
        .current_dir(folder)
        .env_clear()
        .env("ORDERLY_ENV", "test")
        .env("ORDERLY__AUTH__SIGNING_KEY", &*SIGNING_KEY)
        .envs(urls.iter().map(|(name, url)| (name, url)))
        .args(command)
        .args(["--config-dir", super::CONFIG, "--set", "log.format=json"]);
    for setting in settings {
        process.args(["--set", setting]);
    }
    LoggedProcess::start(&mut process, folder.join(log))
}

/// Where the service says that it listens, once it is ready.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let address = |key: &str| line[key].as_str()?.parse().ok();
        Some((address("address")?, address("admin_address")?))
    })
}

/// A token that one replica made is good at the others, and after a restart.
static SIGNING_KEY: LazyLock<String> = LazyLock::new(|| {
    let key = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let body = STANDARD.encode(key);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
});
