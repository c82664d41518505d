//! The command line.
//!
//! Exit codes: 0 success, 1 failure, 2 wrong usage.

mod client;
mod serve;

use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use reqwest::Method;

use crate::DEFAULT_PORT;

/// A payment gateway for demos and tests: it takes no money and can be made to fail.
///
/// It charges and refunds like a provider, honours idempotency keys, and lists its ledger at GET /ledger. PUT /faults makes
/// it slow, fail, decline, hang or reset connections, for example:
///
///   curl -X PUT localhost:8090/faults -H 'content-type: application/json' -d '{"error_rate": 0.5}'
///
/// /faults and /ledger accept requests from this machine only; where there is no curl, use `sandbox-gateway faults`.
/// Without a command it serves.
#[derive(Parser)]
#[command(name = "sandbox-gateway", version, propagate_version = true)]
struct CliArgs {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

/// Options of the server. The other commands read from them the address that it listens on.
#[derive(clap::Args)]
struct Options {
    /// Address to listen on
    #[arg(long, global = true, value_name = "ADDRESS", env = "SANDBOX_GATEWAY_BIND", default_value_t = Ipv4Addr::LOCALHOST.into())]
    bind: IpAddr,
    /// TCP port; 0 takes any free port
    #[arg(long, global = true, env = "SANDBOX_GATEWAY_PORT", default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Keep the ledger in this file, so that it survives a restart [default: in memory only]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SANDBOX_GATEWAY_LEDGER_PATH"
    )]
    ledger: Option<PathBuf>,
    /// Format of log lines: pretty for people, json for collectors
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "SANDBOX_GATEWAY_LOG_FORMAT",
        default_value = "pretty"
    )]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Pretty,
    Json,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Serve until SIGTERM or SIGINT; the default
    Serve,
    /// Show the faults of the gateway on this machine, or replace them
    ///
    /// The gateway accepts this from its own machine only, and its container has no curl:
    ///
    ///   docker compose exec sandbox-gateway sandbox-gateway faults '{"error_rate": 1}'
    ///
    /// Faults: latency_ms, hang_rate, error_rate, reset_rate, charge_then_reset_rate, decline_rate (rates from 0 to 1) and
    /// decline_above_minor. An omitted fault is off, so '{}' clears all faults.
    Faults {
        /// Faults from now on, as a JSON object
        #[arg(value_name = "JSON")]
        faults: Option<String>,
    },
    /// Check the gateway on this machine; exit with 0 if it is healthy, 1 if not
    Healthcheck,
}

/// Runs the command that the process was started with.
pub async fn run() -> ExitCode {
    let CliArgs { options, command } = CliArgs::parse();
    match dispatch(command.unwrap_or(CliCommand::Serve), options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report_error(&error),
    }
}

async fn dispatch(command: CliCommand, options: Options) -> anyhow::Result<()> {
    let response = match command {
        CliCommand::Serve => return serve::run(options).await,
        CliCommand::Faults { faults: None } => {
            client::send(&options, Method::GET, "/faults", "").await?
        }
        CliCommand::Faults {
            faults: Some(faults),
        } => client::send(&options, Method::PUT, "/faults", &faults).await?,
        CliCommand::Healthcheck => client::send(&options, Method::GET, "/health", "").await?,
    };
    match writeln!(std::io::stdout(), "{response}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

fn report_error(error: &anyhow::Error) -> ExitCode {
    // Standard error may be closed.
    let _closed = writeln!(std::io::stderr(), "sandbox-gateway: {error:#}");
    ExitCode::FAILURE
}
