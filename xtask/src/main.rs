//! The developer commands; `make` lists them.

mod commands;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use xtask::data_dir::find_checkout;
use xtask::interrupt::{check_interrupt, record_signals};

/// Developer commands; the Makefile is their documented interface.
#[derive(Parser)]
#[command(name = "xtask")]
enum Command {
    /// Runs a command with a throw-away Postgres and Redis; without one, prints their URLs
    Services {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
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
        Command::Services { command } => commands::services::run(&command),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the message of a command is for people"
)]
fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
