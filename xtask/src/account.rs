//! The account that servers run as.
//!
//! Postgres does not run as root. So for root, everything that stores data runs as an account
//! without rights; for others, as the caller.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::process::geteuid;

use crate::program::run_for_output;

/// An account; `ids` are its user and group if it is not the caller's own.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    /// Returns `postgres` (created by Debian's package) or `nobody` for root, and the
    /// caller's own account otherwise.
    pub(crate) fn select() -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { ids: None });
        }
        let ids = find_ids("postgres").or_else(|_| find_ids("nobody"));
        Ok(Self {
            ids: Some(ids.context("there is no account to run Postgres as")?),
        })
    }

    /// Returns a command that runs as this account: from the root folder, since the account may
    /// not be allowed into this one; in the C locale, since the output is read here, and on macOS
    /// Postgres does not start without a locale.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env("LC_ALL", "C");
        if let Some((user, group)) = self.ids {
            // The standard library drops the groups of root with it.
            command.uid(user).gid(group);
        }
        command
    }

    /// Whether it may pass through a folder.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        let mut test = self.command(Path::new("test"));
        let status = test.arg("-x").arg(folder).stdin(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Lets the account pass through a folder to the files that it owns inside. The folder stays the
    /// caller's, so that the account cannot plant files that are then read or written as root.
    pub(crate) fn allow_traversal(&self, folder: &Path) -> anyhow::Result<()> {
        set_mode(folder, 0o700)?;
        if let Some((_, group)) = self.ids {
            chown(folder, None, Some(group))
                .with_context(|| format!("the group of {} can't be set", folder.display()))?;
            set_mode(folder, 0o710)?;
        }
        Ok(())
    }

    /// Gives a file or folder to the account, alone.
    pub(crate) fn give_ownership(&self, path: &Path) -> anyhow::Result<()> {
        let mode = fs::metadata(path)?.permissions().mode();
        set_mode(path, mode & 0o700)?;
        if let Some((user, _)) = self.ids {
            chown(path, Some(user), None)
                .with_context(|| format!("the owner of {} can't be set", path.display()))?;
        }
        Ok(())
    }
}

fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("the mode of {} can't be set", path.display()))
}

/// Returns the user and the group of an account. `id` finds accounts that are not in `/etc/passwd`,
/// such as those of macOS.
fn find_ids(name: &str) -> anyhow::Result<(u32, u32)> {
    let ask =
        |option| anyhow::Ok(run_for_output(Command::new("id").args([option, name]))?.parse()?);
    Ok((ask("-u")?, ask("-g")?))
}
