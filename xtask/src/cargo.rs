//! Builds the programs of the workspace.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::program::run_to_end;
use crate::progress::log_progress;

/// The service and the gateway beside it.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `orderly`.
    pub service: PathBuf,
    /// `sandbox-gateway`.
    pub gateway: PathBuf,
}

impl Programs {
    /// Builds them for a person who waits: no optimization, and shared with the tests.
    ///
    /// # Errors
    /// Returns an error if the build fails.
    pub fn build() -> anyhow::Result<Self> {
        log_progress("Building (the first time takes some minutes)");
        Self::in_folder(build(&["--bin", "orderly", "--bin", "sandbox-gateway"])?)
    }

    /// Builds them as they are deployed: the service with no more features than it asks for
    /// itself.
    ///
    /// # Errors
    /// Returns an error if the build fails.
    pub fn build_release() -> anyhow::Result<Self> {
        log_progress("Building (the first time takes some minutes)");
        let profile = load_profile();
        let packages = [
            "--package",
            "orderly",
            "--package",
            "sandbox-gateway",
            "--bins",
        ];
        Self::in_folder(build(&[&["--profile", &profile], &packages[..]].concat())?)
    }

    fn in_folder(folder: PathBuf) -> anyhow::Result<Self> {
        Ok(Self {
            service: folder.join("orderly"),
            gateway: folder.join("sandbox-gateway"),
        })
    }
}

/// Builds the load test.
///
/// # Errors
/// Returns an error if the build fails.
pub fn build_load_test() -> anyhow::Result<PathBuf> {
    let profile = load_profile();
    let folder = build(&[
        "--profile",
        &profile,
        "--package",
        "orderly-loadtest",
        "--bins",
    ])?;
    Ok(folder.join("orderly-loadtest"))
}

/// The profile of load tests and benchmarks. CI saves the long release build.
pub fn load_profile() -> String {
    env::var("ORDERLY_LOAD_PROFILE").unwrap_or_else(|_| "release".to_owned())
}

/// Returns `--locked` in a pipeline, which must not change the locked versions.
pub fn locked() -> Option<&'static str> {
    env::var_os("CI")
        .is_some_and(|value| !value.is_empty())
        .then_some("--locked")
}

/// Builds programs and returns their folder, wherever Cargo puts it.
fn build(options: &[&str]) -> anyhow::Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.arg("build").args(locked()).args(options);
    command.args(["--message-format", "json-render-diagnostics"]);
    let output = run_to_end(command.stdout(Stdio::piped()))?;
    if !output.status.success() {
        bail!("cargo build failed");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut programs = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    let program = programs
        .next_back()
        .context("cargo build reported no program")?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}
