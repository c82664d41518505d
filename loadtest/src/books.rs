//! The books after a run: `orderly books` says whether goods, orders and money add up.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

/// What became of one rule.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Verdict {
    pub invariant: String,
    pub violations: Vec<String>,
}

/// Asks the program, which finds the database and the gateway in its own settings: in this
/// process's environment.
pub async fn check(orderly: &Path, with_ledger: bool) -> anyhow::Result<Vec<Verdict>> {
    let mut command = Command::new(orderly);
    command.args(["books", "--json"]).stdin(Stdio::null());
    if with_ledger {
        command.arg("--ledger");
    }
    let ended = command.output().await;
    let ended = ended.with_context(|| format!("{} can't be run", orderly.display()))?;
    match serde_json::from_slice(&ended.stdout) {
        Ok(verdicts) => Ok(verdicts),
        Err(_) => bail!(
            "the books can't be checked: {}",
            String::from_utf8_lossy(&ended.stderr).trim()
        ),
    }
}
