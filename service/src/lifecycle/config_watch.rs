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

use super::signals::reload_requests;

/// A change is over when nothing has happened for this long: an editor's write and
/// rename, or the links of a ConfigMap, are one change.
const QUIET: Duration = Duration::from_millis(200);

/// A directory that never comes to rest, since somebody logs into it, is read all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// Reasons to read the configuration again.
pub(crate) struct ConfigWatch {
    hangup: Signal,
    changes: Receiver<()>,
    /// Watches until it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl ConfigWatch {
    /// Begins to listen for SIGHUP and for changes in `directory`, if there is one.
    /// If that can't be watched, a warning says so and SIGHUP is all there is.
    ///
    /// # Errors
    /// If the process may not listen for signals.
    pub(crate) fn begin(directory: &Path) -> std::io::Result<Self> {
        // One event that waits is enough to say that there was one.
        let (notice, changes) = channel(1);
        let on_event = move |event: notify::Result<Event>| {
            // To read the files is an event, too; it must not lead to the next read.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _there_is_one_already = notice.try_send(());
            }
        };
        let watched = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watched
            && directory.exists()
        {
            tracing::warn!(
                directory = %directory.display(),
                %error,
                "changed configuration files go unnoticed; send SIGHUP instead"
            );
        }
        Ok(Self {
            hangup: reload_requests()?,
            changes,
            _watcher: watched.ok(),
        })
    }

    /// Waits for the next reason and names it.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.hangup.recv() => "SIGHUP",
            Some(()) = self.changes.recv() => {
                let over = Instant::now() + LONGEST;
                let more = async { while let Ok(Some(())) = timeout(QUIET, self.changes.recv()).await {} };
                let _quiet_or_not = timeout_at(over, more).await;
                "the files changed"
            }
        }
    }
}
