//! Gathers what `orderly version` tells: the commit, its time, the compiler and the target.
//!
//! Git may be absent (a container build copies only the sources), so the environment can say instead:
//! `ORDERLY_BUILD_COMMIT`, and `SOURCE_DATE_EPOCH` (<https://reproducible-builds.org/specs/source-date-epoch/>) or
//! `ORDERLY_BUILD_EPOCH`, which means the same to us alone: the former makes crates with C in them compile it again.
//! Without either the commit's time serves, not the clock's: the same source then gives the same binary.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let commit = env_var("ORDERLY_BUILD_COMMIT")
        .or_else(|| git_output(&["rev-parse", "--short=12", "HEAD"]));
    let commit_time = env_var("ORDERLY_BUILD_EPOCH")
        .or_else(|| env_var("SOURCE_DATE_EPOCH"))
        .or_else(|| git_output(&["log", "-1", "--format=%ct"]));
    let rustc = env_var("RUSTC").and_then(|rustc| command_output(&rustc, &["--version"]));
    let build_info = [
        ("COMMIT", commit),
        ("EPOCH_SECONDS", commit_time),
        ("RUSTC", rustc),
        ("TARGET", env_var("TARGET")),
    ];
    for (name, value) in build_info {
        println!(
            "cargo::rustc-env=ORDERLY_BUILT_{name}={}",
            value.as_deref().unwrap_or("unknown")
        );
    }

    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ORDERLY_BUILD_COMMIT");
    println!("cargo::rerun-if-env-changed=ORDERLY_BUILD_EPOCH");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // HEAD changes when another branch is checked out, its log with every commit. In a worktree neither is under
    // `.git/`, so git is asked. A path that does not exist would make every build dirty.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) =
            git_output(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists())
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn env_var(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn git_output(arguments: &[&str]) -> Option<String> {
    command_output("git", arguments)
}

fn command_output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
