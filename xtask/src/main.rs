//! The developer commands; `make` lists them.

mod commands;

use std::ffi::OsString;
use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use xtask::data_dir::find_checkout;
use xtask::interrupt::{check_interrupt, record_signals};

/// Developer commands; the Makefile is their documented interface.
#[derive(Parser)]
#[command(name = "xtask")]
enum Command {
    /// Starts Postgres, Redis, the gateway and the service; Ctrl-C stops them
    Run,
    /// Runs a command with a throw-away Postgres and Redis; without one, prints their URLs
    Services(Arguments),
    /// Fails dependencies under load and prints a table of the responses
    Drills(Arguments),
    /// Starts iterations at a constant rate; checks thresholds and invariants
    Load(Arguments),
    /// Compares the order path with pgbench
    Bench(Arguments),
    /// Backs up a database under load, restores it elsewhere, compares
    TestBackup,
    /// Compares the running service with its OpenAPI document
    TestContract {
        /// Examples for each operation as an admin
        examples: Option<u32>,
    },
    /// Removes `.data`
    CleanData,
    /// Writes a renamed copy of this project, the start of another service
    Fork {
        /// One word of 2 to 20 lower-case letters and digits
        name: String,
        /// A new folder outside of this one
        dir: PathBuf,
    },
}

/// Arguments that are passed on.
#[derive(clap::Args)]
struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    run(Command::parse()).unwrap_or_else(|error| match check_interrupt() {
        Ok(()) => report(&error),
        // A child that the same Ctrl-C has reached fails as well, which is no news.
        Err(interrupted) => ExitCode::from(interrupted.exit_code()),
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    record_signals()?;
    std::env::set_current_dir(find_checkout()?)?;
    match command {
        Command::Run => commands::run::run(),
        Command::Services(Arguments { arguments }) => commands::services::run(&arguments),
        Command::Drills(Arguments { arguments }) => commands::drills::run(&arguments),
        Command::Load(Arguments { arguments }) => commands::load::run(&arguments),
        Command::Bench(Arguments { arguments }) => commands::bench::run(&arguments),
        Command::TestBackup => commands::test_backup::run(),
        Command::TestContract { examples } => commands::test_contract::run(examples),
        Command::CleanData => commands::clean_data::run(),
        Command::Fork { name, dir } => commands::fork::run(&name, &dir),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(stderr(), "error: {error:#}");
    ExitCode::FAILURE
}
