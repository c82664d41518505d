//! `make test-contract`: compares the running service with its OpenAPI document. Schemathesis
//! sends valid and invalid requests as an admin, as a customer and without a valid token, and
//! checks every response. It needs PyPI, so it is not a part of `make test`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use xtask::cargo::Programs;
use xtask::gateway::Gateway;
use xtask::http::{send_json, send_request};
use xtask::port::find_free_port;
use xtask::program::run_to_end;
use xtask::programs::{require_program, require_python_venv};
use xtask::progress::log_progress;
use xtask::service::Service;

use super::services::TestServers;

/// Examples for each operation as an admin, unless the caller gives a number.
const DEFAULT_EXAMPLES: u32 = 50;
const REQUIREMENTS: &str = "scripts/contract/requirements.txt";
const FOLDER: &str = ".data/contract";
const LOG: &str = ".data/contract/service.log";

pub(crate) fn run(examples: Option<u32>) -> anyhow::Result<ExitCode> {
    let examples = examples.unwrap_or(DEFAULT_EXAMPLES);
    let fewer = (examples * 2).div_ceil(5);
    install_schemathesis()?;
    let servers = TestServers::start()?;
    let programs = Programs::build()?;
    let gateway = Gateway::start(&servers.data, &programs.gateway, find_free_port()?)?;
    let service = configure(programs, &servers, &gateway)?;
    service.prepare_database()?;
    let _process = service.start(&servers.data, Some(Path::new(LOG)))?;
    let admin = log_in(&service, "admin@example.com", "orderly-demo-admin")?;
    let customer = log_in(&service, "customer@example.com", "orderly-demo-customer")?;
    let runs = [
        (Role::Admin, &*admin, examples),
        (Role::Customer, &*customer, fewer),
        (Role::Anonymous, "no-token", fewer),
    ];
    let mut failed = Vec::new();
    for (role, token, examples) in runs {
        log_progress(&format!("The contract, as {}", role.name()));
        check_role(&service, role, token)?;
        if !run_schemathesis(&service, role, token, examples)? {
            failed.push(role.name());
        }
        check_role(&service, role, token).context("the token expired during the run")?;
    }
    ensure!(
        failed.is_empty(),
        "the service breaks its contract, as: {}; its log is {LOG}",
        failed.join(" ")
    );
    log_progress("The service keeps its contract");
    Ok(ExitCode::SUCCESS)
}

/// The sender of the requests of a run.
#[derive(Debug, Clone, Copy)]
enum Role {
    Admin,
    Customer,
    Anonymous,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Customer => "customer",
            Self::Anonymous => "anonymous",
        }
    }

    /// The statuses of a list of one's own orders and of a product without content.
    fn expected_statuses(self) -> (u16, u16) {
        match self {
            Self::Admin => (200, 422),
            Self::Customer => (200, 403),
            Self::Anonymous => (401, 401),
        }
    }
}

/// Checks that the service takes the token for that role. 401 is a valid response in every run, so
/// a run with a token that is rejected would pass and test nothing.
fn check_role(service: &Service, role: Role, token: &str) -> anyhow::Result<()> {
    let status = |method, path, body| {
        let headers = [
            format!("Authorization: Bearer {token}"),
            "Content-Type: application/json".to_owned(),
        ];
        send_request(service.api_port, method, path, &headers, body).map(|response| response.status)
    };
    let found = (
        status("GET", "/v1/orders", "")?,
        status("POST", "/v1/products", "{}")?,
    );
    let expected = role.expected_statuses();
    ensure!(
        found == expected,
        "the service does not take the token for that of the role {}: expected {expected:?}, found {found:?}",
        role.name()
    );
    Ok(())
}

fn configure(
    programs: Programs,
    servers: &TestServers,
    gateway: &Gateway,
) -> anyhow::Result<Service> {
    Ok(Service::on_free_ports(programs.service)?
        .set("ORDERLY_ENV", "test")
        .set("ORDERLY__DATABASE__URL", &servers.postgres.url("postgres"))
        .set("ORDERLY__REDIS__URL", &servers.redis.url())
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway.url())
        .set("ORDERLY__AUTH__TOKEN_LIFETIME", "1h") // longer than this takes
        // All requests come from one address. A throttled request tests nothing, so 429 is a
        // failure here (schemathesis.toml).
        .set("ORDERLY__RATE_LIMIT__READ_PER_MINUTE", "6000000")
        .set("ORDERLY__RATE_LIMIT__READ_BURST", "1000000")
        .set("ORDERLY__RATE_LIMIT__WRITE_PER_MINUTE", "6000000")
        .set("ORDERLY__RATE_LIMIT__WRITE_BURST", "1000000")
        .set("ORDERLY__RATE_LIMIT__REGISTER_PER_MINUTE", "6000000")
        .set("ORDERLY__RATE_LIMIT__REGISTER_BURST", "1000000")
        .set("ORDERLY__RATE_LIMIT__LOGIN_PER_MINUTE", "6000000")
        .set("ORDERLY__RATE_LIMIT__LOGIN_BURST", "1000000")
        .set("ORDERLY__RATE_LIMIT__LOGIN_ACCOUNT_PER_MINUTE", "6000000")
        .set("ORDERLY__RATE_LIMIT__LOGIN_ACCOUNT_BURST", "1000000"))
}

/// Installs it into `.data`, unless these requirements are there.
fn install_schemathesis() -> anyhow::Result<()> {
    let folder = Path::new(FOLDER);
    let wanted = fs::read_to_string(REQUIREMENTS)?;
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let python = require_program("python3", "python3", "python3")?;
    require_python_venv(&python)?;
    log_progress(&format!("Installing schemathesis into {FOLDER}"));
    // `--clear` empties the folder first.
    let made = run_to_end(Command::new(python).args(["-m", "venv", "--clear", FOLDER]))?;
    ensure!(
        made.status.success(),
        "Python can't make a virtual environment"
    );
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--requirement",
        REQUIREMENTS,
    ]);
    if !run_to_end(&mut pip)?.status.success() {
        bail!("schemathesis can't be installed: is PyPI reachable?");
    }
    Ok(fs::write(installed, wanted)?)
}

/// Returns an access token.
fn log_in(service: &Service, email: &str, password: &str) -> anyhow::Result<String> {
    let body = json!({"email": email, "password": password}).to_string();
    let session = send_json(service.api_port, "/v1/sessions", &[], &body)
        .with_context(|| format!("the log-in as {email} failed"))?;
    let token = session["access_token"].as_str();
    let token = token.filter(|token| !token.is_empty());
    Ok(token.context("the session has no access token")?.to_owned())
}

/// Schemathesis prints its progress, and keeps its findings in the folder that it runs in.
/// A run that has tested no operation is an error.
fn run_schemathesis(
    service: &Service,
    role: Role,
    token: &str,
    examples: u32,
) -> anyhow::Result<bool> {
    let report = format!("{}.xml", role.name());
    let report_path = Path::new(FOLDER).join(&report);
    if report_path.exists() {
        fs::remove_file(&report_path)?;
    }
    let hooks = env::current_dir()?.join("scripts/contract");
    let mut command = Command::new("bin/python");
    command.current_dir(FOLDER).env("PYTHONPATH", &hooks);
    command
        .env("ORDERLY_CONTRACT_URL", service.url())
        .env("ORDERLY_CONTRACT_TOKEN", token);
    command
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(hooks.join("schemathesis.toml"));
    command.args(["run", &format!("{}/openapi.json", service.url())]);
    command.args(["--max-examples", &examples.to_string()]);
    command.args(["--report", "junit", "--report-junit-path", &report]);
    let status = run_to_end(&mut command)?.status;
    let report = fs::read_to_string(&report_path).context("schemathesis wrote no report")?;
    let tests =
        count_tests(&report).context("the report of schemathesis has no number of tests")?;
    ensure!(tests > 0, "schemathesis tested no operation");
    Ok(status.success())
}

/// Returns the number of tests in a JUnit report.
fn count_tests(report: &str) -> Option<u32> {
    let (_, rest) = report.split_once("<testsuites")?;
    let (attributes, _) = rest.split_once('>')?;
    let (_, number) = attributes.split_once(" tests=\"")?;
    number.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tests_of_junit_report() {
        let report = r#"<?xml version="1.0" ?><testsuites disabled="0" errors="0" tests="17" time="1"><testsuite tests="3"/></testsuites>"#;
        assert_eq!(count_tests(report), Some(17));
        assert_eq!(count_tests(""), None);
        assert_eq!(count_tests("<testsuites></testsuites>"), None);
    }
}
