//! `orderly serve`: the service.

use super::command::load_config;
use crate::app::App;
use crate::app::reload::Reloader;
use crate::config::{self, ConfigFlags};
use crate::lifecycle::config_watcher::ConfigWatcher;
use crate::lifecycle::signals::StopSignals;
use crate::telemetry::{self, logging::LogFlushGuard};

/// Run the service: the API, the admin listener and the jobs.
///
/// Needs a database whose schema serves this version (`orderly migrate`).
///
/// SIGTERM or Ctrl-C stops it: /readyz says 503, requests are answered for shutdown.drain_delay more, then those in
/// flight, then the jobs end. A second one ends it immediately. SIGHUP, or a change in the configuration directory, makes
/// it read its configuration again: log.filter, breaker.*, rate_limit.* and load_shedding.* are applied, the rest needs a restart.
///
/// `orderly --help` lists the exit codes.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(
    _: Args,
    flags: &ConfigFlags,
    mut signals: StopSignals,
) -> anyhow::Result<()> {
    let loaded = tokio::select! {
        loaded = load_config(flags) => loaded??,
        _ = signals.next() => return Ok(()),
    };
    telemetry::start(&loaded.settings.log, &loaded.settings.telemetry)?;
    for warning in config::warnings(&loaded.settings) {
        tracing::warn!(warning, "the configuration can be better");
    }
    if !loaded.ignored_variables.is_empty() {
        let variables = loaded.ignored_variables.join(", ");
        tracing::warn!(variables, "OpenTelemetry variables ignored");
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
        let loaded = load_config(flags).await?;
        // Said and counted; what the service does stays the same.
        let _outcome = reloader.reload(loaded.map(|loaded| loaded.settings));
    }
}
