//! The developer commands; `make` lists them.

use clap::Parser;

/// Developer commands; the Makefile is their documented interface.
#[derive(Parser)]
#[command(name = "xtask")]
enum Command {}

fn main() -> anyhow::Result<()> {
    match Command::parse() {}
}
