//! `make run`: the whole service on this machine, with a private Postgres and Redis and the
//! sandbox payment gateway. Ctrl-C stops all of it; the data stays for the next time.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use xtask::cargo::Programs;
use xtask::data_dir::{DataDir, DataRoot, find_checkout};
use xtask::gateway::Gateway;
use xtask::interrupt::Interrupted;
use xtask::port::{find_free_port, is_port_taken};
use xtask::postgres::{Postgres, PostgresOptions, password_file};
use xtask::progress::log_progress;
use xtask::redis::Redis;
use xtask::servers::{find_or_install_postgres, find_or_install_redis};
use xtask::service::Service;

const BANNER: &str = include_str!("banner.txt");

/// Ports of the programs, each with the variable that sets it.
const API_PORT: (&str, u16) = ("ORDERLY__HTTP__PORT", 8080);
const ADMIN_PORT: (&str, u16) = ("ORDERLY__ADMIN__PORT", 8081);
const GATEWAY_PORT: (&str, u16) = ("SANDBOX_GATEWAY_PORT", 8090);

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let root = DataRoot::open(&find_checkout()?)?;
    let postgres = find_or_install_postgres(root.kept_postgres_major())?;
    let data = root.open_kept()?;
    let [api_port, admin_port, gateway_port] =
        [API_PORT, ADMIN_PORT, GATEWAY_PORT].map(select_port);
    let gateway_port = gateway_port?;
    let programs = Programs::build()?;

    let options = PostgresOptions {
        port: Some(54_329),
        initdb: &["--auth=scram-sha-256"],
        settings: &["random_page_cost=1.1"],
        certificates: None,
    };
    let postgres = Postgres::start(&data, postgres, options)?;
    postgres.create_database("orderly")?;
    let redis = start_redis(&data)?;
    let service = Service::new(programs.service, api_port?, admin_port?)
        .set_default("ORDERLY_ENV", "development")
        .set_default("ORDERLY__LOG__FORMAT", "pretty")
        .set("ORDERLY__DATABASE__URL", &postgres.url("orderly"));
    let service = match &redis {
        Some(redis) => service.set("ORDERLY__REDIS__URL", &redis.url()),
        None => service.unset("ORDERLY__REDIS__URL"),
    };
    service.prepare_database()?;
    let gateway = Gateway::start(&data, &programs.gateway, gateway_port)?;
    let service = service.set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway.url());
    let mut process = service.start(&data, None)?;
    print_banner(&service, &postgres, &gateway, &programs.gateway, &data);
    match process.wait() {
        Ok(status) => bail!("the service ended: {status}"),
        Err(error) if error.is::<Interrupted>() => {
            log_progress("Stopping");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error),
    }
}

/// Without Redis, the service does with less.
fn start_redis(data: &DataDir) -> anyhow::Result<Option<Redis>> {
    match find_or_install_redis() {
        Ok(program) => {
            let started = Redis::start(data, program, Some(56_379), &["--appendonly", "yes"])?;
            Ok(Some(started))
        }
        Err(missing) => {
            log_progress(&format!("Going on without Redis. {missing}"));
            Ok(None)
        }
    }
}

/// Returns the port of the variable or its default, if it is free.
fn select_port((variable, default): (&str, u16)) -> anyhow::Result<u16> {
    let port = match env::var(variable) {
        Ok(text) if !text.is_empty() => text
            .parse()
            .with_context(|| format!("{variable} is no port: {text}"))?,
        _ => default,
    };
    if is_port_taken(port) {
        let free = find_free_port()?;
        bail!("port {port} is taken: choose another with {variable}={free} make run");
    }
    Ok(port)
}

/// Its lines can be pasted into bash or zsh as they stand, and need no jq.
#[expect(clippy::print_stdout, reason = "the banner is for people")]
fn print_banner(
    service: &Service,
    postgres: &Postgres,
    gateway: &Gateway,
    gateway_program: &Path,
    data: &DataDir,
) {
    // The password stays in its file.
    let password = password_file(data.path());
    let database =
        postgres.url_with_password("orderly", &format!("$(cat \"{}\")", password.display()));
    // Another terminal does not have the variable.
    let port = if gateway.port() == GATEWAY_PORT.1 {
        String::new()
    } else {
        format!(" --port {}", gateway.port())
    };
    let shown = BANNER
        .replace("{api}", &format!("http://127.0.0.1:{}", service.api_port))
        .replace(
            "{admin}",
            &format!("http://127.0.0.1:{}", service.admin_port),
        )
        .replace("{gateway}", &gateway.url())
        .replace("{gateway_program}", &gateway_program.display().to_string())
        .replace("{gateway_port}", &port)
        .replace(
            "{service_program}",
            &service.program().display().to_string(),
        )
        .replace("{data}", &data.path().display().to_string())
        .replace("{database}", &database);
    println!("{shown}");
}
