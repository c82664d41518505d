//! Runs a command until it ends or a signal interrupts it.
//!
//! # Problem
//!
//! The kernel ignores SIGTERM for PID 1 of a container that has no handler for it: `orderly migrate` that waits
//! for a lock survives `docker stop` until SIGKILL. And Postgres does not notice that a client has exited while a
//! statement runs or waits for a lock: the statement still commits, after the operator read that nothing changed.
//!
//! # How it works
//!
//! The process listens for signals before it does anything else. On SIGTERM or SIGINT it asks Postgres to cancel
//! the running statements, gives the command [`CANCEL_TIMEOUT`] to end with the result of that, reports what was left
//! undone and exits with 128 and the number of the signal. A second signal ends the process immediately.
//!
//! # Pitfalls
//!
//! The thread that polls the signals must not block. Reading files and writing to standard output, which is
//! perhaps a pipe that is not read, happen on threads for blocking calls.
//!
//! # Tests
//!
//! `tests/process/interruption.rs`.

use std::io::{ErrorKind, Write as _};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::config::{self, ConfigError, ConfigFlags, LoadedConfig, Settings};
use crate::lifecycle::signals::{StopSignal, StopSignals};
use crate::resilience::mutex::lock;
use crate::storage::database::Database;

/// Time a command may take to end after its statements were cancelled.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Context of a command.
pub(super) struct CommandContext {
    flags: ConfigFlags,
    stop: CancellationToken,
    database: OnceLock<Database>,
    undone: Mutex<String>,
}

impl CommandContext {
    /// Reads the configuration.
    pub(super) async fn config(&self) -> anyhow::Result<LoadedConfig> {
        Ok(load_config(&self.flags).await??)
    }

    /// Reads the settings.
    pub(super) async fn settings(&self) -> anyhow::Result<Settings> {
        Ok(self.config().await?.settings)
    }

    /// Returns the database, whose statements are cancelled when the command is interrupted.
    pub(super) fn database(&self, settings: &Settings) -> anyhow::Result<Database> {
        let database = app::build_database(settings)?;
        database.track_sessions();
        Ok(self.database.get_or_init(|| database).clone())
    }

    /// Sets the text that tells the operator what an interruption leaves undone from now on.
    pub(super) fn set_undone(&self, text: impl Into<String>) {
        *lock(&self.undone) = text.into();
    }

    /// Returns the token that is cancelled when the command is interrupted.
    pub(super) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits for `duration`.
    ///
    /// # Errors
    /// Returns an error immediately when the command is interrupted.
    pub(super) async fn pause(&self, duration: Duration) -> anyhow::Result<()> {
        match timeout(duration, self.stop.cancelled()).await {
            Ok(()) => bail!("interrupted"),
            Err(_) => Ok(()),
        }
    }

    /// Cancels the running statements. Returns `false` if there is no session that could run one.
    async fn cancel_statements(&self) -> bool {
        match self.database.get() {
            Some(database) => database.cancel_statements().await,
            None => false,
        }
    }
}

/// Runs a command to its end, or until a signal.
pub(super) async fn run_until_signal(
    mut signals: StopSignals,
    flags: ConfigFlags,
    command: impl AsyncFnOnce(&CommandContext) -> anyhow::Result<()>,
) -> ExitCode {
    let context = CommandContext {
        flags,
        stop: CancellationToken::new(),
        database: OnceLock::new(),
        undone: Mutex::default(),
    };
    let mut running = pin!(command(&context));
    let signal = tokio::select! {
        biased;
        result = &mut running => return super::exit_code(result),
        signal = signals.next() => signal,
    };
    context.stop.cancel();
    let cancel = async {
        match context.cancel_statements().await {
            true => (&mut running).await,
            false => bail!("interrupted"),
        }
    };
    let result = tokio::select! {
        result = timeout(CANCEL_TIMEOUT, cancel) => result.ok(),
        _ = signals.next() => None,
    };
    // The command may have come to its end before the cancel request did.
    if let Some(Ok(())) = result {
        return ExitCode::SUCCESS;
    }
    report_interruption(signal, &lock(&context.undone));
    ExitCode::from(signal.exit_code())
}

fn report_interruption(signal: StopSignal, undone: &str) {
    let separator = if undone.is_empty() { "" } else { ": " };
    print_stderr(&format!(
        "orderly: interrupted by {}{separator}{undone}",
        signal.as_str()
    ));
}

/// Reads the configuration on a thread for blocking calls: a file may be on a network disk that hangs.
pub(super) async fn load_config(
    flags: &ConfigFlags,
) -> anyhow::Result<Result<LoadedConfig, ConfigError>> {
    let flags = flags.clone();
    let loaded = spawn_blocking(move || config::load(&flags)).await;
    loaded.context("reading the configuration")
}

/// Writes to standard output. A reader that closed the pipe (`orderly config | head -1`) is no failure.
pub(super) async fn print_stdout(text: impl Into<String>) -> anyhow::Result<()> {
    let text = text.into();
    let write = move || writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    match spawn_blocking(write)
        .await
        .context("writing to standard output")?
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes to standard error, as far as it is open.
pub(super) fn print_stderr(text: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}
