//! `sandbox-gateway serve`.

use std::io::{self, ErrorKind, IsTerminal as _};
use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{LogFormat, Options};
use crate::SandboxGateway;

const LOG_FILTER: &str = "info,actix_server=warn";

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    start_logging(options.log_format)?;
    // A signal that arrives during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let address = SocketAddr::new(options.bind, options.port);
    let gateway = SandboxGateway::start(address, options.ledger)
        .await
        .map_err(add_hint)?;
    tracing::info!(address = %gateway.address(), "the sandbox gateway is ready");
    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal, "stopping");
    gateway.stop().await.context("the server had failed")
}

/// Names the option that helps, in the same line.
fn add_hint(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!("{error}; set another port with --port or SANDBOX_GATEWAY_PORT")
        }
        _ => error.into(),
    }
}

fn start_logging(format: LogFormat) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(LOG_FILTER)?);
    let started = match format {
        LogFormat::Pretty => lines
            .with_ansi(io::stdout().is_terminal())
            .with_target(false)
            .try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
    };
    started.map_err(|error| anyhow!("logging cannot be started: {error}"))
}
