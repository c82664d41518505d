//! Removes folders of data, and nothing else.
//!
//! # Problem
//! A wrong path in a recursive removal takes the checkout with it, and all work in it.
//!
//! # How it works
//! A path is removed only if its parent is a folder `.data` and its name is one that
//! `data_dir.rs` gives; a link's target only if it is a folder that `data_dir.rs` has made
//! outside. The parent is compared after all links on the way to it are resolved.
//!
//! # Tests
//! `removes_nothing_but_data_dirs`, `target_of_link_stays_unless_made_here`,
//! `root_is_removed_only_without_data_dirs`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::data_dir::DataDir;

/// Where data is kept that the servers' account cannot reach in the checkout.
pub(crate) const EXTERNAL_PARENT: &str = "/var/tmp";
/// The beginning of the name of such a folder.
pub(crate) const EXTERNAL_PREFIX: &str = "orderly-data.";
/// Downloaded servers in `.data`; a link where other accounts cannot enter the checkout.
pub(crate) const PREBUILT_SERVERS: &str = "tools/prebuilt";
/// The name of a cluster in a folder of data while it is created.
pub(crate) const UNFINISHED_CLUSTER: &str = "postgres.new";

/// Removes `.data/NAME`, and the folder outside that it links to. Succeeds if it does not exist.
///
/// # Errors
/// Returns an error, and removes nothing, if the path is not one of those.
pub(crate) fn remove_data_dir(entry: &Path) -> anyhow::Result<()> {
    let parent = entry.parent().context("no parent")?.canonicalize()?;
    let name = entry
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    ensure!(
        parent.ends_with(".data") && is_data_dir_name(name),
        "{} is no folder of data: it is not removed",
        entry.display()
    );
    let entry = parent.join(name);
    let kind = match fs::symlink_metadata(&entry) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let removed = if kind.is_symlink() {
        remove_external_dir(&fs::read_link(&entry)?)?;
        fs::remove_file(&entry)
    } else {
        fs::remove_dir_all(&entry)
    };
    removed.with_context(|| format!("{} can't be removed", entry.display()))
}

/// Removes a folder `.data` with everything in it, once its folders of data are gone; the downloaded
/// servers too, where they are outside.
///
/// # Errors
/// Returns an error, and removes nothing, if it is something else.
pub(crate) fn remove_data_root(root: &Path) -> anyhow::Result<()> {
    let is_folder = fs::symlink_metadata(root)?.is_dir();
    ensure!(
        is_folder && root.ends_with(".data"),
        "{} is no folder .data",
        root.display()
    );
    for entry in fs::read_dir(root)? {
        if let Some(name) = entry?
            .file_name()
            .to_str()
            .filter(|name| is_data_dir_name(name))
        {
            bail!("{} is still there", root.join(name).display());
        }
    }
    if let Ok(servers) = fs::read_link(root.join(PREBUILT_SERVERS)) {
        remove_external_dir(&servers)?;
    }
    fs::remove_dir_all(root).with_context(|| format!("{} can't be removed", root.display()))
}

/// Removes the cluster in a folder of data that was not created to its end.
///
/// # Errors
/// Returns an error if it can't be removed.
pub(crate) fn remove_unfinished_cluster(data: &DataDir) -> anyhow::Result<()> {
    let unfinished = data.path().join(UNFINISHED_CLUSTER);
    match fs::symlink_metadata(&unfinished) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&unfinished)
            .with_context(|| format!("{} can't be removed", unfinished.display())),
        _ => Ok(()),
    }
}

/// `run`, `test-PID` or `test-PID-NUMBER`.
pub(crate) fn is_data_dir_name(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name == "run"
        || name
            .strip_prefix("test-")
            .is_some_and(|rest| rest.split('-').all(is_number))
}

/// A target that was not made here stays; so does one that is gone.
fn remove_external_dir(target: &Path) -> anyhow::Result<()> {
    let is_ours = target.parent() == Some(Path::new(EXTERNAL_PARENT))
        && (target.file_name().and_then(|name| name.to_str()))
            .is_some_and(|name| name.starts_with(EXTERNAL_PREFIX))
        && fs::symlink_metadata(target).is_ok_and(|metadata| metadata.is_dir());
    if is_ours {
        fs::remove_dir_all(target)
            .with_context(|| format!("{} can't be removed", target.display()))?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::scratch::ScratchDir;

    #[test]
    fn removes_nothing_but_data_dirs() {
        let scratch = ScratchDir::new("removal");
        let data = scratch.path().join(".data");
        for folder in [
            "run", "test-1", "test-2-1", "certs", "test-", "test-x", "../src",
        ] {
            fs::create_dir_all(data.join(folder)).unwrap();
        }
        for kept in [
            "certs",
            "test-",
            "test-x",
            ".",
            "..",
            "../src",
            "test-1/..",
            "../.data",
        ] {
            remove_data_dir(&data.join(kept)).unwrap_err();
            assert!(data.join(kept).exists(), "{kept}");
        }
        for removed in ["run", "test-1", "test-2-1", "test-3"] {
            remove_data_dir(&data.join(removed)).unwrap();
            assert!(!data.join(removed).exists(), "{removed}");
        }
        remove_data_dir(&scratch.path().join("src/run")).unwrap_err();
        assert!(data.join("../src").exists());
    }

    #[test]
    fn target_of_link_stays_unless_made_here() {
        let scratch = ScratchDir::new("removal-link");
        let data = scratch.path().join(".data");
        let precious = scratch.path().join("orderly-data.precious");
        fs::create_dir_all(&data).unwrap();
        fs::create_dir_all(&precious).unwrap();
        symlink(&precious, data.join("run")).unwrap();
        remove_data_dir(&data.join("run")).unwrap();
        assert!(precious.exists());
        assert!(fs::symlink_metadata(data.join("run")).is_err());
    }

    #[test]
    fn root_is_removed_only_without_data_dirs() {
        let scratch = ScratchDir::new("removal-root");
        let data = scratch.path().join(".data");
        fs::create_dir_all(data.join("run")).unwrap();
        remove_data_root(&data).unwrap_err();
        remove_data_root(scratch.path()).unwrap_err();
        assert!(data.join("run").exists());
        remove_data_dir(&data.join("run")).unwrap();
        fs::create_dir_all(data.join("certs")).unwrap();
        let servers = Path::new(EXTERNAL_PARENT)
            .join(format!("{EXTERNAL_PREFIX}removal-{}", std::process::id()));
        fs::create_dir_all(&servers).unwrap();
        fs::create_dir(data.join("tools")).unwrap();
        symlink(&servers, data.join(PREBUILT_SERVERS)).unwrap();
        remove_data_root(&data).unwrap();
        assert!(!data.exists() && !servers.exists() && scratch.path().exists());
    }
}
