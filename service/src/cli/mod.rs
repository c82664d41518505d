//! The command line.
//!
//! One file a subcommand, each with its `Args` (whose doc comment is its help) and its `run`. A new one is a module,
//! a variant of `Command` and an arm of `dispatch`.
//!
//! Exit codes: 0 success; 1 failure; 2 wrong usage; 3 a shutdown that ran over; 78 (`EX_CONFIG` of BSD `sysexits.h`)
//! wrong configuration, so that a supervisor can tell what a restart may mend from what it cannot; 128 and the number
//! of the signal that ended it.

mod books;
mod config;
mod gateway_faults;
mod healthcheck;
mod jobs;
mod metrics;
mod migrate;
mod openapi;
mod sandbox_gateway;
mod seed;
mod serve;
mod version;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::{ConfigError, ConfigFlags};
use crate::lifecycle::shutdown::ShutdownTimedOut;
use crate::telemetry::logging::LastLines;

const EX_CONFIG: u8 = 78;
const RAN_OVER: u8 = 3;

/// A reference user/order microservice.
#[derive(Parser)]
#[command(name = "orderly", version = version::LINE, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    flags: ConfigFlags,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Settings come in layers, and the later wins: built-in defaults, config/default.toml, config/$ORDERLY_ENV.toml,
config/local.toml, .env, environment variables ORDERLY__SECTION__KEY, --set section.key=value.
A secret may be in a file that ORDERLY__SECTION__KEY_FILE names. `orderly config` shows what holds and where it came from.

Exit codes: 0 success, 1 failure, 2 wrong usage, 78 wrong configuration; `orderly serve --help` has more of its own.";

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Migrate(migrate::Args),
    Seed(seed::Args),
    Healthcheck(healthcheck::Args),
    Config(config::Args),
    Jobs(jobs::Args),
    Metrics(metrics::Args),
    CheckInvariants(books::Args),
    Openapi(openapi::Args),
    SandboxGateway(sandbox_gateway::Args),
    GatewayFaults(gateway_faults::Args),
    Version(version::Args),
}

/// Runs the command that the process was started with.
pub async fn run() -> ExitCode {
    // One TLS provider for the whole process; a second call would only say that there is one.
    let _there_is_one = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let Cli { flags, command } = Cli::parse();
    let _written_last = LastLines;
    match dispatch(command, &flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

async fn dispatch(command: Command, flags: &ConfigFlags) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(args, flags).await,
        Command::Migrate(args) => migrate::run(args, flags).await,
        Command::Seed(args) => seed::run(args, flags).await,
        Command::Healthcheck(args) => healthcheck::run(args, flags).await,
        Command::Config(args) => config::run(&args, flags),
        Command::Jobs(args) => jobs::run(args, flags).await,
        Command::Metrics(args) => metrics::run(&args),
        Command::CheckInvariants(args) => books::run(args, flags).await,
        Command::Openapi(args) => openapi::run(args),
        Command::SandboxGateway(args) => sandbox_gateway::run(args, flags).await,
        Command::GatewayFaults(args) => gateway_faults::run(args, flags).await,
        Command::Version(args) => version::run(&args),
    }
}

#[expect(clippy::print_stderr, reason = "the command line talks to people")]
fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<ConfigError>() {
        eprintln!("{error}");
        return ExitCode::from(EX_CONFIG);
    }
    eprintln!("orderly: {error:#}");
    if error.is::<ShutdownTimedOut>() {
        return ExitCode::from(RAN_OVER);
    }
    ExitCode::FAILURE
}

/// Writes to standard output. A reader that has seen enough (`orderly config | head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}
