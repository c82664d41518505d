//! The folders below `.data`: `run`, which is kept, and one `test-PID` for each process that
//! brings throw-away servers.
//!
//! # Problem
//! A command that is killed with -9 removes nothing: its servers run on, and its data stays. The
//! next start must remove both, and must not touch the data of a command that still runs.
//!
//! # How it works
//! The owner of a folder holds a lock on a file in it. The system releases the lock when the
//! owner ends, however it ends; so a folder whose lock is free is stale. A second lock, of
//! `.data` itself, keeps a folder that is being created from being taken for a stale one.
//!
//! # Tests
//! `killed_owner_leaves_nothing_after_next_start`, `data_in_use_is_not_stale`,
//! `data_that_account_cannot_reach_is_outside`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::account::Account;
use crate::owner::{lock_owner, lock_root, not_ours};
use crate::process::stop_leftovers;
use crate::progress::log_progress;
use crate::random::random_hex;
use crate::removal::{
    EXTERNAL_PARENT, EXTERNAL_PREFIX, is_data_dir_name, remove_data_dir, remove_data_root,
};

const KEPT: &str = "run";

/// Returns the top folder of the checkout that the current folder is in.
///
/// # Errors
/// Returns an error outside a checkout.
pub fn find_checkout() -> anyhow::Result<PathBuf> {
    let current = std::env::current_dir()?.canonicalize()?;
    let checkout = current
        .ancestors()
        .find(|folder| folder.join("xtask/Cargo.toml").is_file());
    Ok(checkout
        .context("not in a checkout of the project")?
        .to_owned())
}

/// The folder `.data` of a checkout, made if it is not there.
#[derive(Debug)]
pub struct DataRoot {
    path: PathBuf,
}

impl DataRoot {
    /// Returns the folder of this checkout.
    ///
    /// # Errors
    /// Returns an error if it can't be made.
    pub fn open(checkout: &Path) -> anyhow::Result<Self> {
        let path = checkout.join(".data");
        fs::create_dir_all(&path).with_context(|| format!("{} can't be made", path.display()))?;
        Ok(Self { path })
    }

    /// Returns the major version of the Postgres whose data is kept.
    pub fn kept_postgres_major(&self) -> Option<u32> {
        let version = fs::read_to_string(self.path.join(KEPT).join("postgres/PG_VERSION")).ok()?;
        version.trim().parse().ok()
    }

    /// Opens the folder that is kept, and stops the processes that a killed owner has left there.
    ///
    /// # Errors
    /// Returns an error if another process owns it.
    pub fn open_kept(&self) -> anyhow::Result<DataDir> {
        let _lock = lock_root(&self.path)?;
        let data = self.create(KEPT)?;
        stop_leftovers(&data.path)?;
        Ok(data)
    }

    /// Makes a throw-away folder, which is removed with the value, and removes stale ones.
    ///
    /// # Errors
    /// Returns an error if it can't be made.
    pub fn create_test(&self) -> anyhow::Result<DataDir> {
        let _lock = lock_root(&self.path)?;
        self.remove_stale_folders()?;
        let pid = std::process::id();
        let names = (1_u32..).map(|number| format!("test-{pid}-{number}"));
        let mut free = names.filter(|name| fs::symlink_metadata(self.path.join(name)).is_err());
        self.create(&free.next().context("no free name")?)
    }

    /// Removes the throw-away folders that killed owners have left, and stops their processes.
    ///
    /// # Errors
    /// Returns an error if one can't be removed.
    pub fn remove_stale(&self) -> anyhow::Result<()> {
        let _lock = lock_root(&self.path)?;
        self.remove_stale_folders()
    }

    /// Removes everything.
    ///
    /// # Errors
    /// Returns an error, and removes no data in use, if a command runs in this checkout.
    pub fn remove(self) -> anyhow::Result<()> {
        let _lock = lock_root(&self.path)?;
        let kept = self.path.join(KEPT);
        if let Ok(data) = kept.canonicalize() {
            let _owner = lock_owner(&data)?;
            stop_leftovers(&data)?;
        }
        remove_data_dir(&kept)?;
        self.remove_stale_folders()?;
        if !self.test_folders()?.is_empty() {
            bail!("tests run in this checkout: stop them first");
        }
        remove_data_root(&self.path)
    }

    fn create(&self, name: &str) -> anyhow::Result<DataDir> {
        let account = Account::select()?;
        let entry = self.path.join(name);
        if !entry.is_dir() {
            if fs::symlink_metadata(&entry).is_ok_and(|metadata| metadata.is_symlink()) {
                fs::remove_file(&entry)?; // its target was swept away
            }
            fs::create_dir(&entry).with_context(|| format!("{} can't be made", entry.display()))?;
            account.allow_traversal(&entry)?;
            if !account.can_enter(&entry) {
                let outside = create_external_dir(&account)?;
                fs::remove_dir(&entry)?;
                symlink(outside, &entry)?;
            }
        }
        let path = entry.canonicalize()?;
        let owner = lock_owner(&path)?;
        if !account.can_enter(&path) {
            return Err(not_ours(
                &entry,
                &anyhow::anyhow!("its servers can't enter it"),
            ));
        }
        let is_kept = name == KEPT;
        Ok(DataDir {
            path,
            entry,
            account,
            is_kept,
            _owner: owner,
        })
    }

    fn remove_stale_folders(&self) -> anyhow::Result<()> {
        for folder in self.test_folders()? {
            // A link whose target was swept away has no owner.
            if let Ok(data) = folder.canonicalize() {
                let Ok(_owner) = lock_owner(&data) else {
                    continue;
                };
                stop_leftovers(&data)?;
            }
            remove_data_dir(&folder)?;
        }
        Ok(())
    }

    fn test_folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name
                .to_str()
                .is_some_and(|name| name != KEPT && is_data_dir_name(name))
            {
                folders.push(entry.path());
            }
        }
        Ok(folders)
    }
}

/// A folder of data that this process owns.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// In `.data`; a link if the path is elsewhere.
    entry: PathBuf,
    pub(crate) account: Account,
    is_kept: bool,
    _owner: File,
}

impl DataDir {
    /// The real path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = remove_data_dir(&self.entry)
        {
            log_progress(&format!("{error:#}"));
        }
    }
}

fn create_external_dir(account: &Account) -> anyhow::Result<PathBuf> {
    let folder = Path::new(EXTERNAL_PARENT).join(format!("{EXTERNAL_PREFIX}{}", random_hex()?));
    // One that is there already is an error: another user may have made it.
    fs::create_dir(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    account.allow_traversal(&folder)?;
    Ok(folder)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::ScratchDir;

    #[test]
    fn data_in_use_is_not_stale() {
        let scratch = ScratchDir::new("in-use");
        let root = DataRoot::open(scratch.path()).unwrap();
        let first = root.create_test().unwrap();
        let second = root.create_test().unwrap();
        assert!(first.path().is_dir() && first.path() != second.path());
        drop(second);
        fs::create_dir(scratch.path().join(".data/test-1")).unwrap();
        root.remove_stale().unwrap();
        assert!(first.path().is_dir());
        assert!(!scratch.path().join(".data/test-1").exists());
        let error = DataRoot::open(scratch.path())
            .unwrap()
            .remove()
            .unwrap_err();
        assert!(
            error.to_string().contains("tests run in this checkout"),
            "{error}"
        );
        drop(first);
        root.remove().unwrap();
        assert!(!scratch.path().join(".data").exists());
    }

    #[test]
    fn kept_data_has_one_owner() {
        let scratch = ScratchDir::new("kept");
        let root = DataRoot::open(scratch.path()).unwrap();
        let kept = root.open_kept().unwrap();
        let error = root.open_kept().unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "'make run' runs in this checkout already (process {})",
                std::process::id()
            )
        );
        root.remove().unwrap_err();
        let path = kept.path().to_owned();
        assert!(path.is_dir());
        drop(kept);
        assert!(path.is_dir());
        let root = DataRoot::open(scratch.path()).unwrap();
        root.open_kept().unwrap();
        root.remove().unwrap();
    }

    #[test]
    fn data_that_account_cannot_reach_is_outside() {
        if !rustix::process::geteuid().is_root() {
            return; // an ordinary user's servers reach what the user reaches
        }
        let scratch = ScratchDir::new("outside");
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let root = DataRoot::open(scratch.path()).unwrap();
        let data = root.create_test().unwrap();
        let path = data.path().to_owned();
        assert!(path.starts_with(EXTERNAL_PARENT), "{}", path.display());
        assert!(data.account.can_enter(&path));
        drop(data);
        assert!(!path.exists());
        assert!(root.test_folders().unwrap().is_empty());
    }
}
