//! `orderly gateway-faults`: set and clear the faults of the sandbox gateway.

use std::net::IpAddr;

use anyhow::{Context as _, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};

use crate::config::{self, ConfigFlags};

/// Show the faults of the sandbox gateway on this machine, or replace them.
///
/// The gateway takes such orders from its own machine only, and its container has no curl:
///
///   docker compose exec gateway orderly gateway-faults '{"error_rate": 1}'
///
/// Faults: latency_ms, hang_rate, error_rate, reset_rate, charge_then_reset_rate, decline_rate (rates from 0 to 1) and
/// decline_above_minor. What is left out is off, so '{}' clears all faults.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The faults to be in force from now on, as a JSON object
    #[arg(value_name = "JSON")]
    faults: Option<String>,
}

pub(super) async fn run(args: Args, flags: &ConfigFlags) -> anyhow::Result<()> {
    let gateway = config::load(flags)?.settings.sandbox_gateway;
    let host = match gateway.bind {
        IpAddr::V6(_) => "[::1]",
        IpAddr::V4(_) => "127.0.0.1",
    };
    let url = format!("http://{host}:{}/faults", gateway.port);
    let client = Client::builder().no_proxy().build()?;
    let request = match args.faults {
        None => client.get(&url),
        Some(faults) => client
            .request(Method::PUT, &url)
            .header(CONTENT_TYPE, "application/json")
            .body(faults),
    };
    let response = (request.send().await).with_context(|| {
        format!("{url} does not answer: start the gateway with orderly sandbox-gateway")
    })?;
    let (status, body) = (response.status(), response.text().await?);
    if !status.is_success() {
        bail!("{url} says {status}: {body}");
    }
    super::print_stdout(&body)
}
