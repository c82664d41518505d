//! `make load`: starts iterations at a constant rate against a release build of the service with a
//! Postgres, a Redis and a gateway of its own, then checks thresholds and invariants.
//!
//! With `--url` in the arguments, it runs against the service there. The invariants are checked if
//! its database is in `ORDERLY__DATABASE__URL` (and with `--ledger`, its sandbox gateway in
//! `ORDERLY__PAYMENTS__GATEWAY_URL`). The report goes to `.data/load`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use xtask::cargo::{Programs, build_load_test};
use xtask::data_dir::{DataRoot, find_checkout};
use xtask::gateway::Gateway;
use xtask::port::find_free_port;
use xtask::postgres::{Postgres, PostgresOptions};
use xtask::program::{exit_code, run_for_output, run_to_end};
use xtask::redis::Redis;
use xtask::servers::{find_or_install_postgres, find_or_install_redis};
use xtask::service::Service;

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    if is_without_servers(arguments) {
        let programs = Programs::build_release()?;
        let mut load_test = load_test(&build_load_test()?)?;
        if env::var_os("ORDERLY__DATABASE__URL").is_some_and(|url| !url.is_empty()) {
            load_test.arg("--check-invariants").arg(programs.service);
        }
        return Ok(exit_code(run_to_end(load_test.args(arguments))?.status));
    }
    let postgres = find_or_install_postgres(None)?;
    let redis = find_or_install_redis()?;
    let programs = Programs::build_release()?;
    let load_test_program = build_load_test()?;
    let data = DataRoot::open(&find_checkout()?)?.create_test()?;
    let options = PostgresOptions {
        initdb: &["--auth=scram-sha-256"],
        settings: &["random_page_cost=1.1"],
        ..PostgresOptions::default()
    };
    let postgres = Postgres::start(&data, postgres, options)?;
    postgres.create_database("orderly")?;
    let redis = Redis::start(&data, redis, None, &[])?;
    let gateway = Gateway::start(&data, &programs.gateway, find_free_port()?)?;
    let service = Service::on_free_ports(programs.service)?
        .set("ORDERLY__DATABASE__URL", &postgres.url("orderly"))
        .set("ORDERLY__REDIS__URL", &redis.url())
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway.url())
        .set("ORDERLY__LOG__FORMAT", "json")
        .set("ORDERLY__LOG__FILTER", "info")
        .set("ORDERLY__SHUTDOWN__DRAIN_DELAY", "0s")
        // All virtual users come from one address.
        .set("ORDERLY__RATE_LIMIT__READ_PER_MINUTE", "6000000")
        .set("ORDERLY__RATE_LIMIT__READ_BURST", "100000")
        .set("ORDERLY__RATE_LIMIT__REGISTER_PER_MINUTE", "6000")
        .set("ORDERLY__RATE_LIMIT__REGISTER_BURST", "1000")
        .set("ORDERLY__RATE_LIMIT__LOGIN_PER_MINUTE", "6000")
        .set("ORDERLY__RATE_LIMIT__LOGIN_BURST", "1000");
    service.prepare_database()?;
    let _process = service.start(&data, Some(&data.path().join("service.log")))?;
    let mut load_test = load_test(&load_test_program)?;
    service.configure(&mut load_test);
    load_test.args(["--url", &service.url(), "--ledger"]);
    load_test.arg("--check-invariants").arg(service.program());
    Ok(exit_code(run_to_end(load_test.args(arguments))?.status))
}

/// Whether the arguments name a service elsewhere, or only ask for help.
fn is_without_servers(arguments: &[OsString]) -> bool {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .collect();
    (arguments.iter())
        .any(|argument| matches!(&**argument, "-h" | "--help") || argument.starts_with("--url"))
}

fn load_test(program: &Path) -> anyhow::Result<Command> {
    fs::create_dir_all(".data/load")?;
    let now = run_for_output(Command::new("date").args(["-u", "+%Y-%m-%dT%H%M%SZ"]))?;
    let mut command = Command::new(program);
    command.args(["run", "--html", &format!(".data/load/{now}.html")]);
    Ok(command)
}
