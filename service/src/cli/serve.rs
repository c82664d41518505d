//! `orderly serve`: the service.

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::app::App;
use crate::app::reload::Reloader;
use crate::config::{self, ConfigFlags};
use crate::lifecycle::config_watcher::ConfigWatcher;
use crate::lifecycle::signals::StopSignals;
use crate::telemetry::{self, logging::LogFlushGuard};

/// Run the service: the API, the admin listener and the jobs.
///
/// Needs a database with the current schema (`orderly migrate`).
///
/// SIGTERM or Ctrl-C stops it: /readyz says 503, requests are answered for shutdown.drain_delay more, then those in
/// flight, then the jobs end. A second one ends it at once. SIGHUP, or a change in the configuration directory, makes
/// it read its configuration again: log.filter, breaker.*, rate_limit.* and load_shedding.* are applied, the rest needs a restart.
///
/// Exit codes: 0 stopped, all was done; 3 stopped, but a phase ran over its deadline and something was cut off;
/// 130 or 143 a second SIGINT or SIGTERM; 1 failure; 78 wrong configuration.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, flags: &ConfigFlags) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen()?;
    let loaded = config::load(flags)?;
    telemetry::start(&loaded.settings.log, &loaded.settings.telemetry)?;
    for warning in config::warnings(&loaded.settings) {
        tracing::warn!(warning, "the configuration can be better");
    }
    telemetry::panics::install_hook();
    let mut watcher = ConfigWatcher::start(&loaded.directory)?;
    let app = tokio::select! {
        result = App::start(&loaded.settings) => result?,
        signal = signals.next() => {
            tracing::info!(signal = signal.as_str(), "stopped before it was ready");
            return Ok(());
        }
    };
    let signal = tokio::select! {
        signal = signals.next() => signal,
        result = reload_on_change(&mut watcher, &app.reloader, flags) => return result,
    };
    tracing::info!(signal = signal.as_str(), "stopping");
    let stop = async {
        let result = app.stop().await;
        // Last, so that the spans of the shutdown are among them.
        telemetry::traces::shutdown(loaded.settings.shutdown.telemetry_timeout).await;
        result
    };
    tokio::select! {
        result = stop => result,
        signal = signals.next() => {
            tracing::warn!(signal = signal.as_str(), "stopped at once");
            drop(LogFlushGuard);
            std::process::exit(signal.exit_code().into());
        }
    }
}

/// Goes on until something is wrong with the process itself.
async fn reload_on_change(
    watcher: &mut ConfigWatcher,
    reloader: &Reloader,
    flags: &ConfigFlags,
) -> anyhow::Result<()> {
    loop {
        let reason = watcher.next().await;
        tracing::info!(reason, "reading the configuration again");
        let flags = flags.clone();
        let loaded = spawn_blocking(move || config::load(&flags))
            .await
            .context("reading the configuration")?;
        // Said and counted; what the service does stays the same.
        let _outcome = reloader.reload(loaded.map(|loaded| loaded.settings));
    }
}
