//! The scripts of `deploy/backup`, run by users without rights of their own, as their README says:
//! one reads, one owns the copies.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{bail, ensure};
use xtask::postgres::Postgres;
use xtask::program::{run_for_output, run_to_end};

/// The scripts with the programs of the server, so that `pg_dump` is not older than it.
pub(super) struct BackupScripts<'a> {
    postgres: &'a Postgres,
    path: OsString,
}

impl<'a> BackupScripts<'a> {
    pub(super) fn new(postgres: &'a Postgres) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self { postgres, path }.with_programs(postgres.programs())
    }

    /// The same, with a folder of programs before all others.
    pub(super) fn with_programs(&self, folder: &Path) -> Self {
        let mut path = folder.as_os_str().to_owned();
        path.push(":");
        path.push(&self.path);
        Self {
            postgres: self.postgres,
            path,
        }
    }

    /// Makes a backup and returns its folder.
    pub(super) fn backup(&self, database: &str, folder: &Path) -> anyhow::Result<PathBuf> {
        Ok(run_for_output(&mut self.backup_command(database, folder))?.into())
    }

    /// Makes a backup and removes those that are older.
    pub(super) fn backup_and_remove_older(
        &self,
        database: &str,
        folder: &Path,
        days: u32,
    ) -> anyhow::Result<()> {
        run_for_output(self.backup_command(database, folder).arg(days.to_string())).map(drop)
    }

    /// Restores a backup into a database.
    pub(super) fn restore(
        &self,
        database: &str,
        backup: &Path,
        options: &[&str],
    ) -> anyhow::Result<()> {
        let output = run_to_end(&mut self.restore_command(database, backup, options))?;
        ensure!(
            output.status.success(),
            "{} can't be restored into {database}",
            backup.display()
        );
        Ok(())
    }

    pub(super) fn backup_command(&self, database: &str, folder: &Path) -> Command {
        let mut command = self.command("backup.sh", database, "backup_reader", "reader");
        command.arg(folder);
        command
    }

    pub(super) fn restore_command(
        &self,
        database: &str,
        backup: &Path,
        options: &[&str],
    ) -> Command {
        let mut command = self.command("restore.sh", database, "backup_owner", "owner");
        command.arg(backup).args(options);
        command
    }

    /// Runs a script that must fail for that reason.
    pub(super) fn expect_failure(&self, reason: &str, mut command: Command) -> anyhow::Result<()> {
        let output = run_to_end(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let message = [output.stdout, output.stderr].concat();
        let message = String::from_utf8_lossy(&message);
        if output.status.success() {
            bail!("not rejected: {reason}");
        }
        ensure!(
            message.contains(reason),
            "rejected, but not because: {reason}. It printed: {message}"
        );
        Ok(())
    }

    fn command(&self, script: &str, database: &str, user: &str, password: &str) -> Command {
        let mut command = Command::new(Path::new("deploy/backup").join(script));
        command.envs(self.postgres.client_variables(database));
        command
            .env("PGUSER", user)
            .env("PGPASSWORD", password)
            .env("PATH", &self.path);
        command
    }
}
