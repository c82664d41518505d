//! Starts and stops processes so that none is left behind.
//!
//! # Problem
//! Ctrl-C reaches every process of the terminal's foreground group at the same moment: the
//! database is gone before the service has finished its requests. And a command that is killed
//! with -9 leaves its servers running, on ports and data that the next start wants.
//!
//! # How it works
//! A process starts in a process group of its own, so it gets the signals that this code sends,
//! in this order, and no others. Its identity is in a pid file of the data folder: the next start
//! finds there the processes that a killed owner has left ([`stop_leftovers`]).
//!
//! # Tests
//! `killed_owner_leaves_nothing_after_next_start`, `interrupt_stops_everything`,
//! `process_that_ignores_signal_is_killed`.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

use crate::interrupt::check_interrupt;
use crate::process_table::{ProcessIdentity, children, is_group_alive};
use crate::progress::log_progress;
pub use crate::role::Role;

pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Time within which a process is gone that got SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// A child in a process group of its own; stopped when it is dropped.
#[derive(Debug)]
pub struct ManagedProcess {
    role: Role,
    child: Child,
    identity: ProcessIdentity,
    pid_file: PathBuf,
}

impl ManagedProcess {
    /// Starts a process, without input, and notes it in the data folder.
    ///
    /// # Errors
    /// Returns an error if the program can't be started; nothing is left then.
    pub fn spawn(role: Role, command: &mut Command, data: &Path) -> anyhow::Result<Self> {
        let command = command.process_group(0).stdin(Stdio::null());
        let mut child = (command.spawn())
            .with_context(|| format!("{} can't be started", command.get_program().display()))?;
        let pid_file = role.pid_file(data);
        let identity = ProcessIdentity::of(Pid::from_child(&child)).context("no such process");
        let noted = identity.and_then(|identity| {
            fs::write(&pid_file, pid_file_text(&identity))
                .with_context(|| format!("{} can't be written", pid_file.display()))?;
            Ok(identity)
        });
        match noted {
            Ok(identity) => Ok(Self {
                role,
                child,
                identity,
                pid_file,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the exit status, if it has ended.
    ///
    /// # Errors
    /// Returns an error if the system can't say.
    pub fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Returns an error if a signal ends the wait.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            check_interrupt()?;
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Stops it with SIGSTOP: its connections stay open, and nothing is answered.
    pub fn freeze(&self) {
        signal_tree(&self.identity, Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal_tree(&self.identity, Signal::CONT);
    }

    /// Stops it and returns its exit status.
    ///
    /// # Errors
    /// Returns an error if the system can't say.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        stop(self.role, &self.identity);
        Ok(self.child.wait()?)
    }

    /// Kills it and its children, and waits until they are gone: a server that starts again must
    /// not find their shared memory in use.
    ///
    /// # Errors
    /// Returns an error if one of them outlives SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let children = signal_tree(&self.identity, Signal::KILL);
        self.child.wait()?;
        let are_gone = || !children.iter().any(ProcessIdentity::is_alive);
        ensure!(
            wait_for(KILL_TIMEOUT, are_gone),
            "{} outlives SIGKILL",
            self.role.name()
        );
        Ok(())
    }
}

impl Drop for ManagedProcess {
    fn drop(&mut self) {
        stop(self.role, &self.identity);
        // A zombie by now, whose threads may take a moment longer; one that outlives SIGKILL is not
        // to be waited for.
        wait_for(KILL_TIMEOUT, || !matches!(self.child.try_wait(), Ok(None)));
        // A process that was started again has written its own.
        let noted = fs::read_to_string(&self.pid_file);
        if noted.is_ok_and(|noted| noted == pid_file_text(&self.identity)) {
            let _ = fs::remove_file(&self.pid_file);
        }
    }
}

fn pid_file_text(identity: &ProcessIdentity) -> String {
    format!("{identity}\n")
}

/// Sends a signal to a child.
///
/// # Errors
/// Returns an error if it has ended and was waited for.
pub fn send_signal(child: &Child, signal: Signal) -> anyhow::Result<()> {
    kill_process(Pid::from_child(child), signal).context("the signal can't be sent")
}

/// Stops the processes that a killed owner has left running on this data.
///
/// # Errors
/// Returns an error if a pid file can't be removed.
pub(crate) fn stop_leftovers(data: &Path) -> anyhow::Result<()> {
    for role in Role::IN_STOP_ORDER {
        let pid_file = role.pid_file(data);
        let Ok(text) = fs::read_to_string(&pid_file) else {
            continue;
        };
        if let Ok(identity) = text.parse::<ProcessIdentity>()
            && identity.is_alive()
        {
            stop(role, &identity);
        }
        fs::remove_file(&pid_file)
            .with_context(|| format!("{} can't be removed", pid_file.display()))?;
    }
    Ok(())
}

/// Sends the signal of the role, and SIGKILL after its timeout.
fn stop(role: Role, identity: &ProcessIdentity) {
    let group = identity.pid;
    let is_running = || identity.is_alive() || role == Role::Command && is_group_alive(group);
    if !is_running() {
        return;
    }
    let _ = kill_process_group(group, role.stop_signal());
    // A frozen process gets no other signal.
    signal_tree(identity, Signal::CONT);
    let timeout = role.stop_timeout();
    if !wait_for(timeout, || !is_running()) {
        let name = role.name();
        log_progress(&format!(
            "{name} did not stop within {} s: killing it",
            timeout.as_secs()
        ));
        signal_tree(identity, Signal::KILL);
        let _ = kill_process_group(group, Signal::KILL);
        wait_for(KILL_TIMEOUT, || !identity.is_alive());
    }
}

/// Sends a signal to a process and its children, and returns these. The first one is stopped
/// before the others get it, or it would replace those that it misses.
fn signal_tree(identity: &ProcessIdentity, signal: Signal) -> Vec<ProcessIdentity> {
    if !identity.is_alive() {
        return Vec::new();
    }
    // Any of them may end between two of these calls.
    if signal != Signal::CONT {
        let _ = kill_process(identity.pid, Signal::STOP);
    }
    let children = children(identity.pid);
    for child in &children {
        let _ = kill_process(child.pid, signal);
    }
    let _ = kill_process(identity.pid, signal);
    children
}

/// Waits until the condition holds; returns whether it did in time. Signals do not end the wait.
pub(crate) fn wait_for(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
    true
}

/// Waits until the condition holds; returns whether it did in time.
///
/// # Errors
/// Returns an error if the condition has one or a signal ends the wait.
pub fn wait_until(
    timeout: Duration,
    mut condition: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let deadline = Instant::now() + timeout;
    while !condition()? {
        check_interrupt()?;
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(true)
}

/// Waits until the condition holds. Returns `false` if the time is up or the process has ended.
///
/// # Errors
/// Returns an error if a signal ends the wait.
pub(crate) fn wait_until_ready(
    timeout: Duration,
    process: &mut ManagedProcess,
    mut is_ready: impl FnMut() -> bool,
) -> anyhow::Result<bool> {
    let mut has_ended = false;
    let is_over = wait_until(timeout, || {
        let ready = is_ready();
        has_ended = !ready && process.exit_status()?.is_some();
        Ok(ready || has_ended)
    })?;
    Ok(is_over && !has_ended)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn process_that_ignores_signal_is_killed() {
        let mut child = Command::new("sh")
            .args(["-c", "trap '' TERM; while :; do sleep 1; done"])
            .process_group(0)
            .spawn()
            .unwrap();
        let identity = ProcessIdentity::of(Pid::from_child(&child)).unwrap();
        stop(Role::Gateway, &identity);
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }
}
