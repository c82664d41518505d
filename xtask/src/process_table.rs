//! The system's table of processes: who is alive, since when, and whose child.

use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use rustix::process::Pid;

/// One process and no other: the system gives the number of an ended process to a new one, so
/// the time of its start belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessIdentity {
    pub(crate) pid: Pid,
    started_at: String,
}

impl ProcessIdentity {
    /// Returns the identity of a process; none if there is no such process.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        let started_at = read_entry(pid)?.started_at;
        Some(Self { pid, started_at })
    }

    /// Whether it is alive. A process that has ended and was not waited for is not.
    pub(crate) fn is_alive(&self) -> bool {
        let entry = read_entry(self.pid);
        entry.is_some_and(|entry| !entry.has_ended && entry.started_at == self.started_at)
    }
}

/// As a pid file has it: the number, a space, the time.
impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid.as_raw_nonzero(), self.started_at)
    }
}

impl FromStr for ProcessIdentity {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (pid, started_at) = text.trim_end().split_once(' ').context("no start time")?;
        Ok(Self {
            pid: Pid::from_raw(pid.parse()?).context("pid 0")?,
            started_at: started_at.to_owned(),
        })
    }
}

/// Whether a process of a group is alive. (A signal cannot tell: it reaches those as well that
/// have ended and were not waited for.)
pub(crate) fn is_group_alive(group: Pid) -> bool {
    let group = group.as_raw_nonzero().get();
    let is_member = |entry: Entry| entry.group == group && !entry.has_ended;
    all_pids()
        .into_iter()
        .any(|pid| read_entry(pid).is_some_and(is_member))
}

struct Entry {
    parent: i32,
    group: i32,
    has_ended: bool,
    started_at: String,
}

/// Returns the children of a process, without those of its children.
pub(crate) fn children(parent: Pid) -> Vec<ProcessIdentity> {
    let parent = parent.as_raw_nonzero().get();
    let find_child = |pid| {
        let entry = read_entry(pid).filter(|entry| entry.parent == parent)?;
        let started_at = entry.started_at;
        Some(ProcessIdentity { pid, started_at })
    };
    all_pids().into_iter().filter_map(find_child).collect()
}

#[cfg(target_os = "linux")]
fn read_entry(pid: Pid) -> Option<Entry> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name of the program comes second, in parentheses, and may have some of its own.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Entry {
        has_ended: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started_at: (*fields.get(19)?).to_owned(),
    })
}

#[cfg(target_os = "linux")]
fn all_pids() -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).collect()
}

#[cfg(not(target_os = "linux"))]
fn read_entry(pid: Pid) -> Option<Entry> {
    let pid = pid.as_raw_nonzero().to_string();
    let line = run_ps(&[
        "-o", "stat=", "-o", "ppid=", "-o", "pgid=", "-o", "lstart=", "-p", &pid,
    ])?;
    let mut fields = line.split_whitespace();
    Some(Entry {
        has_ended: fields.next()?.starts_with('Z'),
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        started_at: fields.collect::<Vec<_>>().join(" "),
    })
}

#[cfg(not(target_os = "linux"))]
fn all_pids() -> Vec<Pid> {
    let pids = run_ps(&["-A", "-o", "pid="]).unwrap_or_default();
    let numbers = pids.split_whitespace().filter_map(|pid| pid.parse().ok());
    numbers.filter_map(Pid::from_raw).collect()
}

#[cfg(not(target_os = "linux"))]
fn run_ps(arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new("ps")
        .env("LC_ALL", "C")
        .args(arguments)
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn identity_survives_pid_file() {
        let identity = ProcessIdentity::of(rustix::process::getpid()).unwrap();
        let read: ProcessIdentity = format!("{identity}\n").parse().unwrap();
        assert_eq!(read, identity);
        assert!(read.is_alive());
    }

    #[test]
    fn reused_pid_is_another_process() {
        let mut identity = ProcessIdentity::of(rustix::process::getpid()).unwrap();
        identity.started_at = "1".to_owned();
        assert!(!identity.is_alive());
    }

    #[test]
    fn ended_child_and_its_group_are_not_alive_before_reaping() {
        let mut child = Command::new("sleep")
            .arg("1000")
            .process_group(0)
            .spawn()
            .unwrap();
        let identity = ProcessIdentity::of(Pid::from_child(&child)).unwrap();
        assert!(children(rustix::process::getpid()).contains(&identity));
        let group = Pid::from_child(&child);
        assert!(is_group_alive(group));
        child.kill().unwrap();
        let ended =
            crate::process::wait_for(std::time::Duration::from_secs(20), || !identity.is_alive());
        assert!(ended && !is_group_alive(group));
        child.wait().unwrap();
    }
}
