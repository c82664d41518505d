//! The binary as a process: commands, messages, signals and exit codes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{LONG_TIMEOUT, LedgerFile, TestClient};

/// A gateway that serves; it is killed with the value.
struct GatewayProcess {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl GatewayProcess {
    /// Starts it on a free port, and waits for the log line that says so.
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(&[&["--port", "0", "--log-format", "json"], arguments].concat())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!(ready["message"], "the sandbox gateway is ready");
        Self {
            child,
            stdout,
            address: ready["address"].as_str().unwrap().to_owned(),
        }
    }

    fn client(&self) -> TestClient {
        TestClient::new(&format!("http://{}", self.address), LONG_TIMEOUT)
    }

    fn port(&self) -> &str {
        self.address.rsplit_once(':').unwrap().1
    }

    /// Stops it with a signal, and returns its exit code and all that it wrote after the start.
    fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let kill = format!("kill -{signal} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success(), "{kill}");
        let mut output = String::new();
        self.stdout.read_to_string(&mut output).unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut output).unwrap();
        (self.child.wait().unwrap().code(), output)
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-gateway"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn succeed(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail, and returns its message, which must be one line.
fn fail(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn faults_command_sets_and_clears_faults() {
    let gateway = GatewayProcess::start(&[]);
    let port = gateway.port().to_owned();
    let error_rate = |faults: &[&str]| {
        let printed = succeed(&[&["faults", "--port", &port], faults].concat());
        let faults: Value = serde_json::from_str(&printed).unwrap();
        faults["error_rate"].as_f64().unwrap()
    };
    assert_eq!(error_rate(&[]), 0.0);
    assert_eq!(error_rate(&[r#"{"error_rate": 0.5}"#]), 0.5);
    assert_eq!(error_rate(&[]), 0.5);
    let message = fail(&["faults", "--port", &port, r#"{"eror_rate": 1}"#]);
    assert!(message.contains("422"), "{message}");
    assert!(message.contains("eror_rate"), "{message}");
    assert_eq!(error_rate(&["{}"]), 0.0);

    gateway.stop("TERM");
    let message = fail(&["faults", "--port", &port]);
    assert!(message.contains("does not respond"), "{message}");
}

#[test]
fn healthcheck_fails_without_gateway() {
    let gateway = GatewayProcess::start(&["serve"]);
    let port = gateway.port().to_owned();
    assert!(succeed(&["healthcheck", "--port", &port]).contains("ok"));
    gateway.stop("TERM");
    let message = fail(&["healthcheck", "--port", &port]);
    assert!(message.contains("does not respond"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_ledger_after_kill() {
    let file = LedgerFile::new();
    let arguments = ["--ledger", file.0.to_str().unwrap()];
    let gateway = GatewayProcess::start(&arguments);
    let (first, charged) = gateway.client().charge("order-1", 250).await;
    assert_eq!(gateway.stop("KILL").0, None, "ended by a signal");

    let gateway = GatewayProcess::start(&arguments);
    let (second, again) = gateway.client().charge("order-1", 250).await;
    assert_eq!((first, second), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(charged["id"], again["id"]);
    let (_, ledger) = gateway.client().get("/ledger").await;
    assert_eq!(ledger["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn exits_with_zero_on_signal() {
    for signal in ["TERM", "INT"] {
        let (code, output) = GatewayProcess::start(&[]).stop(signal);
        assert_eq!(code, Some(0), "{output}");
        let lines = output.lines().map(serde_json::from_str::<Value>);
        let log: Vec<Value> = lines.map(Result::unwrap).collect();
        assert_eq!(log.len(), 1, "{output}");
        assert_eq!(log[0]["message"], "stopping");
        assert_eq!(log[0]["signal"], format!("SIG{signal}"));
    }
}

#[test]
fn failed_start_is_reported_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = fail(&["--port", &port]);
    for part in [port.as_str(), "in use", "SANDBOX_GATEWAY_PORT"] {
        assert!(message.contains(part), "{part}: {message}");
    }

    let message = fail(&["--port", "0", "--ledger", "/missing/ledger.jsonl"]);
    assert!(message.contains("/missing/ledger.jsonl"), "{message}");

    let file = LedgerFile::new();
    fs::write(&file.0, "not an entry\n").unwrap();
    let message = fail(&["--port", "0", "--ledger", file.0.to_str().unwrap()]);
    assert!(message.contains("line 1"), "{message}");
}

#[test]
fn reads_options_from_environment_variables() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = command(&[]).env("SANDBOX_GATEWAY_PORT", &port).output();
    let message = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");

    let mut gateway = command(&["serve"]);
    let gateway = gateway
        .env("SANDBOX_GATEWAY_PORT", "0")
        .env("SANDBOX_GATEWAY_LEDGER_PATH", "/missing/ledger.jsonl");
    let message = String::from_utf8(gateway.output().unwrap().stderr).unwrap();
    assert!(message.contains("/missing/ledger.jsonl"), "{message}");
}
