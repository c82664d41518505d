//! The command line.
//!
//! One file a subcommand, each with its `Args` (whose doc comment is its help) and its `run`. A new one is a module,
//! a variant of `CliCommand` and an arm of `dispatch`.
//!
//! Exit codes: 0 success; 1 failure; 2 wrong usage; 3 a shutdown that ran over; 78 (`EX_CONFIG` of BSD `sysexits.h`)
//! wrong configuration, so that a supervisor can tell what a restart may fix from what it cannot; 128 and the number
//! of the signal that ended it.

mod check_invariants;
mod config;
mod healthcheck;
mod jobs;
mod metrics;
mod migrate;
mod openapi;
mod seed;
mod serve;
mod version;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::{ConfigError, ConfigFlags};
use crate::lifecycle::shutdown::ShutdownTimedOut;
use crate::telemetry::logging::LogFlushGuard;

const EX_CONFIG: u8 = 78;
const EXIT_SHUTDOWN_TIMED_OUT: u8 = 3;

/// A reference user/order microservice.
#[derive(Parser)]
#[command(name = "orderly", version = version::VERSION, propagate_version = true, after_help = AFTER_HELP)]
struct CliArgs {
    #[command(flatten)]
    flags: ConfigFlags,
    #[command(subcommand)]
    command: CliCommand,
}

const AFTER_HELP: &str = "\
Settings come in layers, and the later wins: built-in defaults, config/default.toml, config/$ORDERLY_ENV.toml,
config/local.toml, .env, environment variables ORDERLY__SECTION__KEY, --set section.key=value.
A secret may be in a file that ORDERLY__SECTION__KEY_FILE names. `orderly config` shows what holds and where it came from.

Exit codes: 0 success, 1 failure, 2 wrong usage, 78 wrong configuration; `orderly serve --help` has more of its own.";

#[derive(Subcommand)]
enum CliCommand {
    Serve(serve::Args),
    Migrate(migrate::Args),
    Seed(seed::Args),
    Healthcheck(healthcheck::Args),
    Config(config::Args),
    Jobs(jobs::Args),
    Metrics(metrics::Args),
    CheckInvariants(check_invariants::Args),
    Openapi(openapi::Args),
    Version(version::Args),
}

/// Runs the command that the process was started with.
pub async fn run() -> ExitCode {
    // One TLS provider for the whole process; a second call would only say that there is one.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let CliArgs { flags, command } = CliArgs::parse();
    let _log_flush_guard = LogFlushGuard;
    match dispatch(command, &flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report_error(&error),
    }
}

async fn dispatch(command: CliCommand, flags: &ConfigFlags) -> anyhow::Result<()> {
    match command {
        CliCommand::Serve(args) => serve::run(args, flags).await,
        CliCommand::Migrate(args) => migrate::run(args, flags).await,
        CliCommand::Seed(args) => seed::run(args, flags).await,
        CliCommand::Healthcheck(args) => healthcheck::run(args, flags).await,
        CliCommand::Config(args) => config::run(&args, flags),
        CliCommand::Jobs(args) => jobs::run(args, flags).await,
        CliCommand::Metrics(args) => metrics::run(&args),
        CliCommand::CheckInvariants(args) => check_invariants::run(args, flags).await,
        CliCommand::Openapi(args) => openapi::run(args),
        CliCommand::Version(args) => version::run(&args),
    }
}

#[expect(clippy::print_stderr, reason = "the command line talks to people")]
fn report_error(error: &anyhow::Error) -> ExitCode {
    if error.is::<ConfigError>() {
        eprintln!("{error}");
        return ExitCode::from(EX_CONFIG);
    }
    eprintln!("orderly: {error:#}");
    if error.is::<ShutdownTimedOut>() {
        return ExitCode::from(EXIT_SHUTDOWN_TIMED_OUT);
    }
    ExitCode::FAILURE
}

/// Writes to standard output. A reader that has seen enough (`orderly config | head`) is no failure.
fn print_stdout(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}
