//! `make fork`: writes a renamed copy and says what comes next.

use std::path::Path;
use std::process::ExitCode;

use xtask::data_dir::find_checkout;
use xtask::fork::fork;
use xtask::progress::log_progress;

pub(crate) fn run(name: &str, dir: &Path) -> anyhow::Result<ExitCode> {
    fork(&find_checkout()?, name, dir)?;
    let dir = dir.display();
    log_progress(&format!(
        "{dir} is a project of its own, with one commit; its docs/fork.md says what comes next"
    ));
    Ok(ExitCode::SUCCESS)
}
