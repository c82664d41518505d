//! Notices that the configuration's files changed.
//!
//! Files change in many ways: an editor writes in place or renames a new file over
//! the old one, and Kubernetes swaps a symbolic link (`..data`) under all files of
//! a ConfigMap at once. A watch on the file would stay with the old inode. So the
//! directory is watched, whatever happens in it counts, and several events that
//! come together are one change.
//!
//! A file that is mounted alone (a bind mount, a `subPath`) shows no event, and
//! some network file systems show none at all: SIGHUP works everywhere.
//!
//! See it break: `tests/process/config_reload.rs`.

use std::path::Path;
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout, timeout_at};

use super::signals::listen_for_reload;

/// A change is over when nothing has happened for this long: an editor's write and
/// rename, or the links of a ConfigMap, are one change.
const DEBOUNCE_INTERVAL: Duration = Duration::from_millis(200);

/// A directory that never comes to rest, since somebody logs into it, is read all the same.
const MAX_DEBOUNCE: Duration = Duration::from_secs(2);

/// Reasons to read the configuration again.
pub(crate) struct ConfigWatcher {
    hangup: Signal,
    change_events: Receiver<()>,
    /// Watches until it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl ConfigWatcher {
    /// Begins to listen for SIGHUP and for changes in `directory`, if there is one.
    /// If that can't be watched, a warning says so and SIGHUP is all there is.
    ///
    /// # Errors
    /// Returns an error if the process may not listen for signals.
    pub(crate) fn start(directory: &Path) -> std::io::Result<Self> {
        // One event that waits is enough to say that there was one.
        let (sender, changes) = channel(1);
        let on_event = move |event: notify::Result<Event>| {
            // To read the files is an event, too; it must not lead to the next read.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _already_pending = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher
            && directory.exists()
        {
            tracing::warn!(
                directory = %directory.display(),
                %error,
                "changed configuration files go unnoticed; send SIGHUP instead"
            );
        }
        Ok(Self {
            hangup: listen_for_reload()?,
            change_events: changes,
            _watcher: watcher.ok(),
        })
    }

    /// Waits for the next reason and names it.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.hangup.recv() => "SIGHUP",
            Some(()) = self.change_events.recv() => {
                let deadline = Instant::now() + MAX_DEBOUNCE;
                let quiet = async { while let Ok(Some(())) = timeout(DEBOUNCE_INTERVAL, self.change_events.recv()).await {} };
                let _quiet_or_timed_out = timeout_at(deadline, quiet).await;
                "the files changed"
            }
        }
    }
}
