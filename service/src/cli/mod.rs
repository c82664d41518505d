//! The command line.
//!
//! One file a subcommand, each with its `Args` (whose doc comment is its help) and its `run`. A new one is a module,
//! a variant of `CliCommand` and an arm of `dispatch`.
//!
//! The exit codes are in `exit_codes!`, and in `docs/exit-codes.md` for operators.

mod check_invariants;
mod command;
mod config;
mod healthcheck;
mod jobs;
mod metrics;
mod migrate;
mod openapi;
mod seed;
mod serve;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{ConfigError, ConfigFlags};
use crate::lifecycle::shutdown::ShutdownTimedOut;
use crate::lifecycle::signals::StopSignals;
use crate::telemetry::logging::LogFlushGuard;
use command::{CommandContext, print_stderr, run_until_signal};

/// The exit codes of every command. Each is also a row of `docs/exit-codes.md`.
macro_rules! exit_codes {
    () => {
        "\
Exit codes:
  0    Success. `serve`: a signal stopped it, and all requests and jobs were finished.
  1    Failure. `check-invariants`: also a violated invariant. `healthcheck`: also a service that is not ready.
  2    Wrong usage.
  3    `serve`: a signal stopped it, and a phase of the shutdown ran over its deadline.
  78   Wrong configuration; a restart does not help.
  130  SIGINT interrupted the command, or was the second signal for `serve`.
  143  SIGTERM interrupted the command, or was the second signal for `serve`."
    };
}

/// `EX_CONFIG` of BSD's `sysexits.h`, so that a supervisor can tell what a restart may fix.
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

const AFTER_HELP: &str = concat!(
    "\
Settings come in layers, and the later wins: built-in defaults, config/default.toml, config/$ORDERLY_ENV.toml,
config/local.toml, .env, environment variables ORDERLY__SECTION__KEY, --set section.key=value.
A secret may be in a file that ORDERLY__SECTION__KEY_FILE names. `orderly config` shows what holds and where it came from.

",
    exit_codes!()
);

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
    // Before anything else: PID 1 ignores a signal that it has no handler for.
    let signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(error) => return exit_code(Err(error.into())),
    };
    // One TLS provider for the whole process; a second call would only say that there is one.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let CliArgs { flags, command } = CliArgs::parse();
    let _log_flush_guard = LogFlushGuard;
    match command {
        // It stops in phases of its own.
        CliCommand::Serve(args) => exit_code(serve::run(args, &flags, signals).await),
        command => {
            let run = async |context: &CommandContext| dispatch(command, context).await;
            run_until_signal(signals, flags, run).await
        }
    }
}

async fn dispatch(command: CliCommand, context: &CommandContext) -> anyhow::Result<()> {
    match command {
        CliCommand::Serve(_) => Ok(()),
        CliCommand::Migrate(args) => migrate::run(args, context).await,
        CliCommand::Seed(args) => seed::run(args, context).await,
        CliCommand::Healthcheck(args) => healthcheck::run(args, context).await,
        CliCommand::Config(args) => config::run(args, context).await,
        CliCommand::Jobs(args) => jobs::run(args, context).await,
        CliCommand::Metrics(args) => metrics::run(args).await,
        CliCommand::CheckInvariants(args) => check_invariants::run(args, context).await,
        CliCommand::Openapi(args) => openapi::run(args).await,
        CliCommand::Version(args) => version::run(args).await,
    }
}

/// Returns the exit code of a command that came to its end, and reports its error.
fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if error.is::<ConfigError>() {
        print_stderr(&error.to_string());
        return ExitCode::from(EX_CONFIG);
    }
    print_stderr(&format!("orderly: {error:#}"));
    if error.is::<ShutdownTimedOut>() {
        return ExitCode::from(EXIT_SHUTDOWN_TIMED_OUT);
    }
    ExitCode::FAILURE
}
