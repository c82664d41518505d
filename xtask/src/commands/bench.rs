//! `make bench`: the order path against pgbench running the same transaction; the method is
//! described in `loadtest/src/bench/mod.rs`. Prints the result and writes it to
//! `loadtest/results`. It wants a machine that does nothing else.
//!
//! It measures the time that a client waits, and its least cost: one replica, which keeps rate
//! limits and cache to itself. The payment and the event that follow an order are left to another
//! replica: the gateway is unavailable and the relay's lock is held. Other results, in other
//! files: with `--redis`, limits are shared, a request to Redis for each one of a client; with
//! `--everything`, there is Redis, and payments and events are processed at the same time.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use xtask::cargo::{Programs, build_load_test, load_profile};
use xtask::data_dir::{DataDir, DataRoot, find_checkout};
use xtask::gateway::Gateway;
use xtask::port::find_free_port;
use xtask::postgres::{Postgres, PostgresOptions};
use xtask::process::{ManagedProcess, Role, wait_until};
use xtask::program::{exit_code, run_for_output, run_to_end};
use xtask::redis::Redis;
use xtask::servers::{find_or_install_postgres, find_or_install_redis};
use xtask::service::Service;

const ADVISORY_LOCKS: &str = "service/src/storage/advisory_locks.rs";

/// As an operator would run it: safe against a power cut, with room for some minutes without a
/// checkpoint.
const SETTINGS: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "random_page_cost=1.1",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
    "autovacuum=off",
];

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let made_with = command_line(arguments);
    let (with, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == "--redis" => (Some("redis"), rest),
        Some((first, rest)) if first == "--everything" => (Some("everything"), rest),
        _ => (None, arguments),
    };
    let programs = find_or_install_postgres(None)?;
    ensure!(
        programs.bin.join("pgbench").is_file(),
        "{} has no pgbench: install it (Debian, Ubuntu: apt-get install postgresql-contrib)",
        programs.bin.display()
    );
    let redis_program = with.map(|_| find_or_install_redis()).transpose()?;
    let built = Programs::build_release()?;
    let load_test = build_load_test()?;
    let data = DataRoot::open(&find_checkout()?)?.create_test()?;
    let version = run_for_output(Command::new(programs.bin.join("postgres")).arg("--version"))?;
    let options = PostgresOptions {
        initdb: &["--auth=scram-sha-256"],
        settings: SETTINGS,
        ..PostgresOptions::default()
    };
    let mut postgres = Postgres::start(&data, programs, options)?;
    postgres.create_database("orderly")?;

    // Postgres does most with about two connections for each core and one for the disk; a request
    // that finds none free waits, at no cost to Postgres (its wiki, "Number Of Database
    // Connections").
    let pool = 2 * thread::available_parallelism()?.get() + 1;
    let service = Service::on_free_ports(built.service)?
        .set("ORDERLY__DATABASE__URL", &postgres.url("orderly"))
        .set("ORDERLY__DATABASE__POOL_SIZE", &pool.to_string())
        .set("ORDERLY__LOG__FORMAT", "json")
        .set("ORDERLY__LOG__FILTER", "info")
        .set("ORDERLY__SHUTDOWN__DRAIN_DELAY", "0s")
        // Sixteen clients come from one address and send one order after another.
        .set("ORDERLY__RATE_LIMIT__LOGIN_BURST", "1000")
        .set("ORDERLY__RATE_LIMIT__WRITE_PER_MINUTE", "6000000")
        .set("ORDERLY__RATE_LIMIT__WRITE_BURST", "1000000");
    let mut setup = format!(
        "{} build; a pool of {pool} connections for requests; rate limits, metrics, spans and a \
         JSON log line for each request",
        load_profile()
    );
    let redis = redis_program
        .map(|program| Redis::start(&data, program, None, &[]))
        .transpose()?;
    let service = match &redis {
        Some(redis) => service.set("ORDERLY__REDIS__URL", &redis.url()),
        None => service.unset("ORDERLY__REDIS__URL"),
    };
    setup.push_str(match redis {
        Some(_) => "; Redis for rate limits and cache",
        None => "; one replica, no Redis",
    });
    let mut gateway = None;
    let mut _relay_lock = None;
    let service = if with == Some("everything") {
        setup.push_str("; payments and events are processed at the same time");
        let started = gateway.insert(Gateway::start(&data, &built.gateway, find_free_port()?)?);
        service.set("ORDERLY__PAYMENTS__GATEWAY_URL", &started.url())
    } else {
        setup.push_str("; payments and events wait for another replica");
        _relay_lock = Some(hold_relay_lock(&data, &postgres)?);
        service.set("ORDERLY__PAYMENTS__GATEWAY_URL", "http://127.0.0.1:9")
    };
    service.prepare_database()?;
    let process = service.start(&data, Some(&data.path().join("service.log")))?;

    let mut bench = Command::new(load_test);
    service
        .configure(&mut bench)
        .envs(postgres.client_variables("orderly"));
    bench.args([
        "bench",
        "--url",
        &service.url(),
        "--scripts",
        "loadtest/bench",
    ]);
    bench.arg("--postgres-bin").arg(postgres.programs());
    if !arguments
        .iter()
        .any(|argument| argument.to_string_lossy().starts_with("--result"))
    {
        fs::create_dir_all("loadtest/results")?;
        let end = with.map_or(String::new(), |with| format!("-with-{with}"));
        bench.args(["--result", &format!("loadtest/results/order-path{end}.md")]);
    }
    bench.args(["--commit", &describe_commit(), "--command", &made_with]);
    bench.args(["--service-setup", &setup]);
    bench.args([
        "--postgres",
        &format!("{version} -c {}", SETTINGS.join(" -c ")),
    ]);
    bench.args(["--service-pid", &process.pid().to_string()]);
    bench.args(["--postgres-pid", &postgres.process().pid().to_string()]);
    Ok(exit_code(run_to_end(bench.args(arguments))?.status))
}

/// Returns the command that the result names.
fn command_line(arguments: &[OsString]) -> String {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .collect();
    if arguments.is_empty() {
        return "make bench".to_owned();
    }
    format!("make bench ARGS='{}'", arguments.join(" "))
}

/// Holds the advisory lock of the outbox relay in a separate session.
///
/// The session is idle. One that sleeps in a statement keeps a snapshot, and with it every old
/// version of every row: both sides get slower from round to round.
fn hold_relay_lock(data: &DataDir, postgres: &Postgres) -> anyhow::Result<ManagedProcess> {
    let source = fs::read_to_string(ADVISORY_LOCKS)?;
    let lock = find_relay_lock(&source)
        .with_context(|| format!("{ADVISORY_LOCKS} has no OUTBOX_RELAY"))?;
    let psql = postgres.programs().join("psql");
    let session = format!(
        "{{ echo 'SELECT pg_advisory_lock({lock});'; exec sleep 86400; }} | '{}' -X -q >/dev/null",
        psql.display()
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &session])
        .envs(postgres.client_variables("orderly"));
    let session = ManagedProcess::spawn(Role::Command, &mut command, data.path())?;
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    let is_held = wait_until(Duration::from_secs(20), || {
        Ok(postgres.count("orderly", held)? > 0)
    })?;
    ensure!(is_held, "the relay's lock can't be taken");
    Ok(session)
}

/// Returns the number of the lock, which the source has in hexadecimal digits.
fn find_relay_lock(source: &str) -> Option<i64> {
    let (_, rest) = source.split_once("const OUTBOX_RELAY: i64 = 0x")?;
    let (digits, _) = rest.split_once(';')?;
    i64::from_str_radix(&digits.replace('_', ""), 16).ok()
}

fn describe_commit() -> String {
    let git = |arguments: &[&str]| run_for_output(Command::new("git").args(arguments));
    let id = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|_| "unknown".to_owned());
    match git(&["status", "--porcelain"]) {
        Ok(changes) if !changes.is_empty() => format!("{id}, with changes"),
        _ => id,
    }
}
