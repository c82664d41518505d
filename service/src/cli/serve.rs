//! `orderly serve`: the service.

use crate::app::App;
use crate::config::{self, Flags};
use crate::lifecycle::signals::StopSignals;
use crate::telemetry::logging;

/// Run the service: the API, the admin listener and the jobs.
///
/// Needs a database with the current schema (`orderly migrate`). Stops on SIGTERM or Ctrl-C: answers the requests in
/// flight, ends the jobs, and exits with 0.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, flags: &Flags) -> anyhow::Result<()> {
    let settings = config::load(flags)?.settings;
    logging::start(&settings.log)?;
    let mut signals = StopSignals::listen()?;
    let app = App::start(&settings).await?;
    let signal = signals.received().await;
    tracing::info!(signal, "stopping");
    app.stop().await
}
