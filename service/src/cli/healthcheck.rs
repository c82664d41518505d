//! `orderly healthcheck`: for container probes.

use std::time::Duration;

use anyhow::{Context as _, bail};

use super::command::{CommandContext, print_stdout};

/// Ask the service on this machine whether it is ready; exit with 0 if it is, 1 if not.
///
/// Asks /readyz on the configured admin port. Made for container health checks: the image needs no curl.
#[derive(clap::Args)]
pub(super) struct Args {
    /// How long to wait for the answer, in seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

pub(super) async fn run(args: Args, context: &CommandContext) -> anyhow::Result<()> {
    let admin = context.settings().await?.admin;
    // A listener on all addresses is asked on this machine's own.
    let host = match admin.bind {
        address if address.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
        address @ std::net::IpAddr::V4(_) => address.to_string(),
    };
    let url = format!("http://{host}:{}/readyz", admin.port);
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(args.timeout))
        .build()?;
    let response = client
        .get(&url)
        .send()
        .await
        .with_context(|| format!("{url} does not answer"))?;
    if !response.status().is_success() {
        bail!(
            "{url} says {}: {}",
            response.status(),
            response.text().await?
        );
    }
    print_stdout("ready").await
}
