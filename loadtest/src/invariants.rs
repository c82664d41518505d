//! Invariants after a run: `orderly check-invariants` tells whether goods, orders and money add up.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

/// Result of one invariant, as `orderly check-invariants --json` prints it.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct InvariantCheck {
    pub invariant: String,
    pub violations: Vec<String>,
}

/// Asks the program, which finds the database and the gateway in its own settings: in this
/// process's environment.
pub async fn check(orderly: &Path, with_ledger: bool) -> anyhow::Result<Vec<InvariantCheck>> {
    let mut command = Command::new(orderly);
    command
        .args(["check-invariants", "--json"])
        .stdin(Stdio::null());
    if with_ledger {
        command.arg("--ledger");
    }
    let output = command.output().await;
    let output = output.with_context(|| format!("{} can't be run", orderly.display()))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(checks) => require_checks(checks),
        Err(_) => bail!(
            "invariant check failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    }
}

/// No invariant holds for a list without one.
fn require_checks(checks: Vec<InvariantCheck>) -> anyhow::Result<Vec<InvariantCheck>> {
    ensure!(!checks.is_empty(), "the invariant check checked nothing");
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_list_of_invariants_is_error() {
        assert!(require_checks(Vec::new()).is_err());
    }
}
