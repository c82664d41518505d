//! Load tests and benchmarks of Orderly.
//!
//! # The problem
//!
//! Most load tools keep a number of virtual users, each of which waits for its answer before it
//! asks again. When the service stalls for a second, they all wait, and the second shows up as one
//! slow answer for each of them instead of one for each customer who would have come meanwhile.
//! Gil Tene calls it *coordinated omission*; his
//! [wrk2](https://github.com/giltene/wrk2#acknowledgements) counts from when a request should have
//! been sent, and so does this.
//!
//! # How it works
//!
//! Customers arrive at a constant rate, whether or not earlier ones were served (an *open model*;
//! Schroeder, Wierman and Harchol-Balter, "Open Versus Closed: A Cautionary Tale", NSDI 2006), and
//! their waiting begins when they should have arrived ([`arrival_rate`]). [`scenario`] is what they do,
//! [`recorder`] counts in `hdrhistogram`s, [`thresholds`] decide the exit code, [`summary`] and
//! [`report`] show what came out. The load libraries for Rust that are kept up (goose, rlt) are
//! closed models; so the hundred lines that are not in the libraries below are here.
//!
//! [`mod@bench`] is the opposite on purpose: a closed loop of 16 connections, compared with `pgbench`,
//! which is one as well.
//!
//! # How to watch it break
//!
//! `counts_stall_for_every_iteration_due_during_it` in `arrival_rate.rs`. Or freeze the service during
//! `make load` (`kill -STOP`), and see the p99.

#![expect(
    unreachable_pub,
    reason = "a program has no callers; `pub` says what is for other modules"
)]

mod api;
mod arrival_rate;
mod bench;
mod format;
mod invariants;
mod recorder;
mod report;
mod run;
mod scenario;
mod summary;
mod thresholds;
mod virtual_users;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

const THRESHOLD_FAILED: u8 = 3;

/// Load tests and benchmarks of Orderly.
#[derive(Parser)]
#[command(name = "orderly-loadtest", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 all thresholds passed, 1 could not be run, 2 wrong usage, 3 a threshold failed.";

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Bench(bench::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    // One TLS provider for the whole process; a second call would only say that there is one.
    let _there_is_one = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let passed = match Cli::parse().command {
        Command::Run(args) => run::run(args).await,
        Command::Bench(args) => bench::run(args).await,
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(THRESHOLD_FAILED),
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "orderly-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output.
fn print_stdout(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

/// Tells people how it goes, on standard error.
fn log_progress(text: &str) {
    // Standard error may be closed.
    let _closed = writeln!(std::io::stderr().lock(), "==> {text}");
}
