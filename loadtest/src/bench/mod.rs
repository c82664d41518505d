//! `orderly-loadtest bench`: the order path against `pgbench`.
//!
//! # The problem
//!
//! "So many orders a second" says more about the machine than about the service. What the service
//! itself costs is the ratio to the same transaction sent by `pgbench`, a C program without HTTP,
//! JSON, tokens, limits, logs, spans or metrics, to the same server with the same data.
//!
//! # How it works
//!
//! Both are closed loops of as many clients, and take turns, since a machine is never the same for
//! long: each round has one of each on tables that were emptied before, and the other one begins
//! in the next. The ratio is the median of the rounds' ratios. While `pgbench` has its turn the
//! service is stopped (SIGSTOP), so that its jobs do not work on `pgbench`'s orders. The clients
//! share the machine with the server, on both sides; how much of it they take is shown.

mod cpu;
mod order_clients;
mod pgbench;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;

use self::cpu::CpuTime;
use self::order_clients::OrderClients;
use self::pgbench::Pgbench;
use self::report::{BenchReport, BenchRound, TurnResult};
use crate::log_progress;

/// Compare the order path with pgbench running the same transaction
///
/// To be run by `make bench`, which starts what it needs. Postgres is found by PGHOST, PGPORT, PGUSER, PGPASSWORD and
/// PGDATABASE.
#[derive(clap::Args)]
pub struct Args {
    /// The root of the service
    #[arg(long)]
    url: String,
    /// The folder with pgbench and psql
    #[arg(long)]
    postgres_bin: PathBuf,
    /// The folder with setup.sql, reset.sql and place_order.sql
    #[arg(long)]
    scripts: PathBuf,
    /// The service's process
    #[arg(long)]
    service_pid: u32,
    /// Postgres' first process
    #[arg(long)]
    postgres_pid: u32,
    /// Rounds of one turn each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long a turn takes, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Connections, on both sides
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    clients: u32,
    /// Lowest ratio that passes
    #[arg(long, default_value_t = 0.8)]
    min_ratio: f64,
    /// The commit that is measured
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// How it was called
    #[arg(long, default_value = "orderly-loadtest bench")]
    command: String,
    /// Which Postgres, and how it is set, in words
    #[arg(long, default_value = "")]
    postgres: String,
    /// Build, settings and dependencies of the service, in words
    #[arg(long, default_value = "")]
    service_setup: String,
    /// Write the result to this file as well
    #[arg(long)]
    result: Option<PathBuf>,
}

pub async fn run(args: Args) -> anyhow::Result<bool> {
    let environment = report::describe_environment(&args)?;
    let database = Pgbench::new(&args.postgres_bin, &args.scripts);
    database.run_file("setup.sql").await?;
    let clients = OrderClients::log_in(&args.url, args.clients).await?;
    let processes = [args.service_pid, args.postgres_pid];

    log_progress("Warming up");
    let warm_up = Duration::from_secs(args.seconds.min(5).into());
    clients.place_orders(warm_up).await?;
    let variables = database.read_variables().await?;
    database
        .place_orders(&variables, args.clients, warm_up)
        .await?;

    let turn = Duration::from_secs(args.seconds.into());
    let mut rounds = Vec::new();
    for number in 0..args.rounds {
        let mut round = BenchRound::default();
        for is_pgbench in [number % 2 == 0, number % 2 == 1] {
            database.run_file("reset.sql").await?;
            let before = CpuTime::now(processes)?;
            if is_pgbench {
                let paused = cpu::PausedProcess::pause(args.service_pid).await?;
                round.pgbench = database
                    .place_orders(&variables, args.clients, turn)
                    .await?;
                paused.resume().await?;
            } else {
                round.service = clients.place_orders(turn).await?;
            }
            let result = if is_pgbench {
                &mut round.pgbench
            } else {
                &mut round.service
            };
            result.cpu = CpuTime::now(processes)?.since(&before).per(result.orders);
            verify_row_counts(&database, result).await?;
        }
        log_progress(&format!("round {}: {round}", number + 1));
        rounds.push(round);
    }
    let report = BenchReport {
        rounds,
        environment,
    };
    if let Some(file) = &args.result {
        std::fs::write(file, report.markdown())?;
    }
    crate::print_stdout(&report.markdown())?;
    Ok(report.ratio() >= args.min_ratio)
}

/// Each order has left the same rows, whoever placed it.
async fn verify_row_counts(database: &Pgbench, result: &TurnResult) -> anyhow::Result<()> {
    for table in ["orders", "order_lines", "idempotency_keys"] {
        let rows = database
            .query(&format!("SELECT count(*) FROM {table}"))
            .await?;
        ensure!(
            rows == result.orders.to_string(),
            "{} orders were placed, but {table} has {rows} rows",
            result.orders
        );
    }
    Ok(())
}
