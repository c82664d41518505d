//! `make clean-data`: removes `.data` and the folders that it links to; the next `make run` starts from
//! nothing.

use std::process::ExitCode;

use xtask::data_dir::{DataRoot, find_checkout};

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    DataRoot::open(&find_checkout()?)?.remove()?;
    Ok(ExitCode::SUCCESS)
}
