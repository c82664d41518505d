//! `make drills`: runs the drills, or those whose names contain one of the words given, and prints
//! their table; see `service/tests/drills`. They start their own servers.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode};

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
    print_table(&fs::read_to_string(&report)?);
    Ok(exit_code(status?))
}

#[expect(clippy::print_stdout, reason = "it is the report of the drills")]
fn print_table(rows: &str) {
    let [drill, responses, wait, recovery] = ["DRILL", "RESPONSES", "MAX WAIT", "RECOVERY"];
    println!("\n{drill:<22} {responses:<46} {wait:>8} {recovery:>8}  RESULT\n{rows}");
}
