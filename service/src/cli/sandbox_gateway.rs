//! `orderly sandbox-gateway`: a payment provider to play with.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::config::{self, ConfigFlags, TelemetryConfig};
use crate::lifecycle::signals::StopSignals;
use crate::payments::sandbox::SandboxGateway;
use crate::telemetry;

/// Run a payment gateway for demos and tests: it takes no money and can be made to fail.
///
/// Charges and refunds like a provider, honours idempotency keys, and shows its ledger at GET /ledger. PUT /faults
/// makes it slow, fail, decline, hang or reset connections, for example:
///
///   curl -X PUT localhost:8090/faults -H 'content-type: application/json' -d '{"error_rate": 0.5}'
///
/// /faults and /ledger answer only to this machine; where there is no curl, `orderly gateway-faults` asks.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Keep the ledger in this file, so that it survives a restart [default: in memory only]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

pub(super) async fn run(args: Args, flags: &ConfigFlags) -> anyhow::Result<()> {
    let settings = config::load(flags)?.settings;
    // It stands for somebody else's service: its spans would not be in our traces.
    telemetry::start(&settings.log, &TelemetryConfig::default())?;
    telemetry::panics::install_hook();
    let mut signals = StopSignals::listen()?;
    let config = settings.sandbox_gateway;
    let address = SocketAddr::new(config.bind, config.port);
    let gateway = SandboxGateway::start(address, args.ledger.or(config.ledger_path))
        .await
        .with_context(|| {
            format!("ORDERLY__SANDBOX_GATEWAY__PORT: the sandbox gateway can't start on {address}")
        })?;
    tracing::info!(address = %gateway.address(), "the sandbox gateway is ready");
    let signal = signals.next().await;
    tracing::info!(signal = signal.as_str(), "stopping");
    gateway.stop().await?;
    Ok(())
}
