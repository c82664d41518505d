//! How much of the machine each process takes, as Linux counts it (proc(5)).

use std::fs;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use tokio::process::Command;

/// Ticks in a second: USER_HZ, the same on every Linux that programs can see.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time: of the clients, which are this process and what it has started, the service, and
/// Postgres.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct CpuTime {
    pub client: f64,
    pub service: f64,
    pub postgres: f64,
}

impl CpuTime {
    /// Seconds, since the processes started.
    pub fn now([service, postgres]: [u32; 2]) -> anyhow::Result<Self> {
        Ok(Self {
            client: cpu_seconds("self")?,
            service: cpu_seconds(&service.to_string())?,
            // Its processes that ended are in its own count.
            postgres: cpu_seconds(&postgres.to_string())? + cpu_seconds_of_children(postgres)?,
        })
    }

    pub fn since(self, before: &Self) -> Self {
        Self {
            client: self.client - before.client,
            service: self.service - before.service,
            postgres: self.postgres - before.postgres,
        }
    }

    /// µs for each order.
    pub fn per(self, orders: u64) -> Self {
        let each = |seconds: f64| seconds * 1e6 / orders.max(1) as f64;
        Self {
            client: each(self.client),
            service: each(self.service),
            postgres: each(self.postgres),
        }
    }
}

/// A process that was stopped for a while.
pub struct PausedProcess(u32);

impl PausedProcess {
    pub async fn pause(process: u32) -> anyhow::Result<Self> {
        send_signal("-STOP", process).await?;
        Ok(Self(process))
    }

    pub async fn resume(self) -> anyhow::Result<()> {
        send_signal("-CONT", self.0).await
    }
}

async fn send_signal(name: &str, process: u32) -> anyhow::Result<()> {
    let status = Command::new("kill")
        .args([name, &process.to_string()])
        .status()
        .await?;
    ensure!(status.success(), "kill {name} {process} failed");
    Ok(())
}

/// With the children it has waited for.
fn cpu_seconds(process: &str) -> anyhow::Result<f64> {
    let fields = read_stat(process)?;
    let ticks: f64 = fields
        .iter()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS_PER_SECOND)
}

fn cpu_seconds_of_children(parent: u32) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for entry in fs::read_dir("/proc").context("only Linux has /proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        // It may have ended just now.
        if read_stat(process).is_ok_and(|fields| fields[1] == parent.to_string()) {
            sum += cpu_seconds(process).unwrap_or_default();
        }
    }
    Ok(sum)
}

/// The fields behind the program's name, which may have spaces in it: state, parent, …
fn read_stat(process: &str) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = text
        .rsplit_once(')')
        .context("an unknown form of /proc/…/stat")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}
