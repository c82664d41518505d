//! The machine below: memory and disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::fs::read_to_string;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{CheckResult, HealthCheck};

/// Memory of the own cgroup against its limit: over that the kernel kills, whatever
/// the machine has left.
///
/// What counts is the working set as Kubernetes sees it: all that is charged, less
/// the file cache that can go at once. Version 2 of cgroups only ("Control Group
/// v2", Linux kernel documentation, section 5-2).
pub(crate) struct MemoryCheck {
    /// `health.memory_used_threshold`
    pub(crate) degraded_from: f64,
}

const CGROUPS: &str = "/sys/fs/cgroup";

impl HealthCheck for MemoryCheck {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let proc_self_cgroup = read_to_string("/proc/self/cgroup")
                .await
                .unwrap_or_default();
            let cgroup = own_cgroup(&proc_self_cgroup);
            let Ok(limit) = read_to_string(cgroup.join("memory.max")).await else {
                return Ok(CheckResult::not_measured(
                    "there is no cgroup with a memory.max",
                ));
            };
            // The kernel writes "max" where there is none.
            let Ok(limit) = limit.trim().parse() else {
                return Ok(CheckResult::not_measured("the cgroup has no memory limit"));
            };
            let current = read_to_string(cgroup.join("memory.current")).await?;
            let stat = read_to_string(cgroup.join("memory.stat")).await?;
            let used = working_set(&current, &stat).context("memory.current is no number")?;
            Ok(evaluate_memory(used, limit, self.degraded_from))
        })
    }
}

/// Where the files of the cgroup are, from `/proc/self/cgroup`. Inside a container
/// the path may be the one that it has outside; the files are then at the root.
fn own_cgroup(proc_self_cgroup: &str) -> PathBuf {
    let root = Path::new(CGROUPS);
    let path = proc_self_cgroup
        .lines()
        .find_map(|line| line.strip_prefix("0::/"));
    path.map(|path| root.join(path))
        .filter(|path| path.join("memory.max").exists())
        .unwrap_or_else(|| root.to_owned())
}

fn working_set(current: &str, stat: &str) -> Option<u64> {
    let current: u64 = current.trim().parse().ok()?;
    let inactive = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "))
        .and_then(|bytes| bytes.trim().parse().ok())
        .unwrap_or(0);
    Some(current.saturating_sub(inactive))
}

fn evaluate_memory(used: u64, limit: u64, degraded_from: f64) -> CheckResult {
    let details = json!({ "used_bytes": used, "limit_bytes": limit });
    CheckResult::degraded_if(used as f64 / limit as f64 >= degraded_from, details)
}

/// Free space of a file system: a full one breaks the logs and whatever else writes.
///
/// A check of a network file system that hangs can't be ended. There is one at a time,
/// or the checks of an hour would take all threads there are for blocking work.
pub(crate) struct DiskCheck {
    path: PathBuf,
    min_free: f64,
    in_progress: Arc<Semaphore>,
}

impl DiskCheck {
    /// Degraded below the share `min_free` of the file system at `path`: `health.disk_free_threshold`,
    /// `health.disk_path`.
    pub(crate) fn new(path: PathBuf, min_free: f64) -> Self {
        Self {
            path,
            min_free,
            in_progress: Arc::new(Semaphore::new(1)),
        }
    }
}

impl HealthCheck for DiskCheck {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let permit = Arc::clone(&self.in_progress).acquire_owned().await?;
            let path = self.path.clone();
            let stat_file_system = move || {
                let _until_it_returns = permit;
                rustix::fs::statvfs(&path)
            };
            let stat = spawn_blocking(stat_file_system).await??;
            let (free, total) = (stat.f_bavail, stat.f_blocks);
            Ok(evaluate_disk(
                free.saturating_mul(stat.f_frsize),
                total.saturating_mul(stat.f_frsize),
                self.min_free,
            ))
        })
    }
}

fn evaluate_disk(free: u64, total: u64, min_free: f64) -> CheckResult {
    let details = json!({ "free_bytes": free, "total_bytes": total });
    CheckResult::degraded_if((free as f64) < total as f64 * min_free, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthStatus;

    #[test]
    fn memory_near_its_limit_degrades() {
        let status = |used| evaluate_memory(used, 100, 0.9).status;
        assert_eq!(status(89), HealthStatus::Healthy);
        assert_eq!(status(90), HealthStatus::Degraded);
    }

    #[test]
    fn working_set_excludes_inactive_file_cache() {
        let stat = "anon 300\nfile 700\ninactive_file 600\nactive_file 100\n";
        assert_eq!(working_set("1000\n", stat), Some(400));
        assert_eq!(working_set("1000\n", ""), Some(1000));
        assert_eq!(working_set("", stat), None);
    }

    #[test]
    fn own_cgroup_falls_back_to_root() {
        let hidden = "1:name=systemd:/\n0::/kubepods/pod1/no-such-cgroup\n";
        assert_eq!(own_cgroup(hidden), Path::new(CGROUPS));
        assert_eq!(own_cgroup(""), Path::new(CGROUPS));
    }

    #[test]
    fn nearly_full_disk_degrades() {
        let status = |free| evaluate_disk(free, 1000, 0.05).status;
        assert_eq!(status(50), HealthStatus::Healthy);
        assert_eq!(status(49), HealthStatus::Degraded);
    }
}
