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
use xtask::http::send_json;
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
    // 401 is a valid response, so a run without a token would pass and test nothing.
    let admin = log_in(&service, "admin@example.com", "orderly-demo-admin")?;
    let customer = log_in(&service, "customer@example.com", "orderly-demo-customer")?;
    let runs = [
        ("admin", &*admin, examples),
        ("customer", &*customer, fewer),
        ("anonymous", "no-token", fewer),
    ];
    let mut failed = Vec::new();
    for (role, token, examples) in runs {
        log_progress(&format!("The contract, as {role}"));
        if !run_schemathesis(&service, token, examples)? {
            failed.push(role);
        }
    }
    ensure!(
        failed.is_empty(),
        "the service breaks its contract, as: {}; its log is {LOG}",
        failed.join(" ")
    );
    log_progress("The service keeps its contract");
    Ok(ExitCode::SUCCESS)
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
    let token = session["access_token"]
        .as_str()
        .context("the session has no access token")?;
    Ok(token.to_owned())
}

/// Schemathesis prints its progress, and keeps its findings in the folder that it runs in.
fn run_schemathesis(service: &Service, token: &str, examples: u32) -> anyhow::Result<bool> {
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
    Ok(run_to_end(&mut command)?.status.success())
}
