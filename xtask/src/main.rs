//! The developer commands; `make` lists them.

use clap::Parser;
use xtask::servers;

/// Developer commands; the Makefile is their documented interface.
#[derive(Parser)]
#[command(name = "xtask")]
enum Command {
    /// Prints the programs of Postgres and Redis that the commands use, and gets missing ones
    Servers,
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Servers => print_servers(),
    }
}

#[expect(clippy::print_stdout, reason = "the output of the command")]
fn print_servers() -> anyhow::Result<()> {
    let postgres = servers::find_or_install_postgres(None)?;
    println!("Postgres {} in {}", postgres.major, postgres.bin.display());
    let redis = servers::find_or_install_redis()?;
    println!("Redis {}", redis.display());
    Ok(())
}
