//! `make drills`: runs the drills, or those whose names contain one of the words given, and prints
//! their table; see `service/tests/drills`. They start their own servers.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::ensure;
use xtask::cargo::locked;
use xtask::data_dir::{DataRoot, find_checkout};
use xtask::process::{ManagedProcess, Role};
use xtask::program::exit_code;

pub(crate) fn run(names: &[OsString]) -> anyhow::Result<ExitCode> {
    let root = DataRoot::open(&find_checkout()?)?;
    let data = root.create_test()?;
    let report = data.path().join("drills");
    fs::write(&report, "")?;
    let mut drills = Command::new("scripts/cargo.sh");
    drills
        .arg("test")
        .args(locked())
        .args(["-p", "orderly", "--test", "drills"]);
    drills
        .args(["--", "--test-threads=1", "--nocapture"])
        .args(names);
    drills.env("ORDERLY_DRILL_REPORT", &report);
    let mut process = ManagedProcess::spawn(Role::Command, &mut drills, data.path())?;
    let status = process.wait();
    drop(process);
    // A drill that was stopped has left its servers.
    root.remove_stale()?;
    let (rows, status) = (fs::read_to_string(&report)?, status?);
    print_table(&rows);
    if status.success() {
        require_rows(&rows, names)?;
    }
    Ok(exit_code(status))
}

/// Requires a row for each of the names: Cargo succeeds if no test has a name.
fn require_rows(rows: &str, names: &[OsString]) -> anyhow::Result<()> {
    ensure!(!rows.trim().is_empty(), "no drill ran");
    let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
    // An option may exclude drills that a name includes.
    if names.iter().any(|name| name.starts_with('-')) {
        return Ok(());
    }
    for name in names {
        // A row has the name of the drill without its module.
        let drill = name.rsplit("::").next().unwrap_or_default();
        let is_found = rows
            .lines()
            .any(|row| row.split(' ').next().is_some_and(|row| row.contains(drill)));
        ensure!(is_found, "there is no drill {name}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is the report of the drills")]
fn print_table(rows: &str) {
    let [drill, responses, wait, recovery] = ["DRILL", "RESPONSES", "MAX WAIT", "RECOVERY"];
    println!("\n{drill:<22} {responses:<46} {wait:>8} {recovery:>8}  RESULT\n{rows}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requires_row_for_each_name() {
        let rows = "redis_killed  8 orders  ok\nredis_frozen  9 orders  ok\n";
        let names = |names: &[&str]| names.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(require_rows(rows, &names(&[])).is_ok());
        assert!(require_rows(rows, &names(&["redis::redis_killed", "frozen"])).is_ok());
        assert!(require_rows(rows, &names(&["--skip", "postgres"])).is_ok());
        assert!(require_rows(rows, &names(&["redis_kiled"])).is_err());
        assert!(require_rows("\n", &names(&[])).is_err());
    }
}
