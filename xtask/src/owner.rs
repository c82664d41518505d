//! Locks on files: who owns a folder of data.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

const OWNER: &str = "owner";

/// Waits for the lock of `.data` itself.
pub(crate) fn lock_root(root: &Path) -> anyhow::Result<File> {
    let path = root.join("lock");
    let file = open_lock_file(&path).map_err(|error| not_ours(root, &error.into()))?;
    (file.lock()).with_context(|| format!("{} can't be locked", path.display()))?;
    Ok(file)
}

/// Locks the owner's file and writes the process into it.
pub(crate) fn lock_owner(data: &Path) -> anyhow::Result<File> {
    let path = data.join(OWNER);
    let mut file = open_lock_file(&path).map_err(|error| not_ours(data, &error.into()))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner)?;
            bail!("'make run' runs in this checkout already (process {owner})")
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} can't be locked", path.display()))
        }
    }
}

fn open_lock_file(path: &Path) -> std::io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

pub(crate) fn not_ours(folder: &Path, error: &anyhow::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "{} is not ours to use ({error:#}): was it made by another user, or moved? \
         'make clean-data' (as that user) removes it",
        folder.display()
    )
}
