//! `make fork`: a renamed copy of this project, as the start of a service with another name.
//!
//! # Problem
//!
//! The name of the project is part of crates, binaries, environment variables, metrics, the
//! database, images, manifests and documents. A copy that is renamed by hand keeps some of them:
//! an alert that names a metric with the old prefix never fires.
//!
//! # How it works
//!
//! Each file that git tracks is copied. The name is replaced in its path and its text, in the
//! three ways it is written: `orderly`, `Orderly`, `ORDERLY`. The licences stay as they are, and
//! `NOTICE` names the origin, as both licences ask for. The copy gets a repository with one commit.
//!
//! # Pitfalls
//!
//! The name becomes a crate, a SQL database, a metric prefix and a DNS label at once, so it is one
//! word of lower-case letters and digits ([`name`] validates it).
//!
//! # Tests
//!
//! `xtask/tests/fork.rs`; `make test-fork` also compiles a copy and runs the tests of its
//! configuration and its documents.

mod name;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

pub use name::ProjectName;

/// The files that keep the old name.
const ATTRIBUTION: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", NOTICE];
const NOTICE: &str = "NOTICE";

/// Writes a copy of the checkout at `root`, renamed to `name`, to the folder `target`.
///
/// # Errors
/// Returns an error if the name can't be used, `target` is not empty or inside of the checkout, or
/// a program fails.
pub fn fork(root: &Path, name: &str, target: &Path) -> anyhow::Result<()> {
    let files = tracked_files(root)?;
    let name = ProjectName::parse(name, root, &files)?;
    let target = prepare_target(root, target)?;
    let result = write_copy(root, &files, &name, &target);
    if result.is_err() {
        // It was empty; half a copy would be in the way of the next attempt.
        let _ = fs::remove_dir_all(&target);
    }
    result
}

fn write_copy(
    root: &Path,
    files: &[PathBuf],
    name: &ProjectName,
    target: &Path,
) -> anyhow::Result<()> {
    for file in files {
        copy(root, file, target, name)
            .with_context(|| format!("{} can't be copied", file.display()))?;
    }
    let origin = describe_origin(root);
    append_notice(target, name, &origin)?;
    // The new name has another length and another place in the alphabet.
    run("cargo", &["fmt", "--all"], target)?;
    let update = ["update", "--workspace", "--offline", "--quiet"];
    run("cargo", &update, target)?;
    let init = ["init", "--quiet", "--initial-branch=main"];
    run("git", &init, target)?;
    run("git", &["add", "--all"], target)?;
    commit(target, name, &origin)
}

/// The files in git's index, relative to `root`.
fn tracked_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .context("git is missing: install it")?;
    ensure!(
        output.status.success(),
        "a fork is made of the files that git tracks, and this is no git checkout: clone the repository"
    );
    let list = String::from_utf8(output.stdout)?;
    let files = list.split_terminator('\0').map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).exists()).collect())
}

/// Creates the folder. Returns its absolute path.
fn prepare_target(root: &Path, target: &Path) -> anyhow::Result<PathBuf> {
    let existing = target.ancestors().find(|folder| folder.exists());
    let existing = existing.unwrap_or(Path::new(".")).canonicalize()?;
    ensure!(
        !existing.starts_with(root.canonicalize()?),
        "DIR={} is inside of this checkout: name a folder beside it, such as ../NAME",
        target.display()
    );
    fs::create_dir_all(target)
        .with_context(|| format!("DIR={} can't be created", target.display()))?;
    let is_empty = fs::read_dir(target)?.next().is_none();
    ensure!(
        is_empty,
        "DIR={} is not empty: name a new folder",
        target.display()
    );
    Ok(target.canonicalize()?)
}

fn copy(root: &Path, file: &Path, target: &Path, name: &ProjectName) -> anyhow::Result<()> {
    let path = file.to_str().context("its path is not UTF-8")?;
    let destination = target.join(name.replace_in(path));
    if let Some(folder) = destination.parent() {
        fs::create_dir_all(folder)?;
    }
    // Copies the permissions as well.
    fs::copy(root.join(file), &destination)?;
    if ATTRIBUTION.contains(&path) {
        return Ok(());
    }
    // A file that is not text has no name in it.
    if let Ok(text) = fs::read_to_string(&destination) {
        fs::write(&destination, name.replace_in(&text))?;
    }
    Ok(())
}

/// The name and the commit of the original.
fn describe_origin(root: &Path) -> String {
    let output = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(root)
        .output();
    let title = name::TITLE;
    match output {
        Ok(output) if output.status.success() => {
            let commit = String::from_utf8_lossy(&output.stdout);
            format!("{title} {}", commit.trim())
        }
        _ => title.to_owned(),
    }
}

fn append_notice(target: &Path, name: &ProjectName, origin: &str) -> anyhow::Result<()> {
    let path = target.join(NOTICE);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let notice = format!(
        "{before}{} began as a copy of {origin}.\n\
         Copyright (c) The {} developers; MIT OR Apache-2.0, see LICENSE-MIT and LICENSE-APACHE.\n",
        name.title(),
        name::TITLE
    );
    Ok(fs::write(path, notice)?)
}

/// Commits everything, as the user's git identity if there is one.
fn commit(target: &Path, name: &ProjectName, origin: &str) -> anyhow::Result<()> {
    let identity = Command::new("git")
        .args(["var", "GIT_COMMITTER_IDENT"])
        .current_dir(target)
        .output()?;
    let author = format!("user.name={} developers", name.title());
    let subject = format!("Start {} from {origin}", name.title());
    let mut arguments = vec!["commit", "--quiet", "--message", &subject];
    if !identity.status.success() {
        arguments.splice(
            0..0,
            ["-c", &author, "-c", "user.email=developers@localhost"],
        );
    }
    run("git", &arguments, target)
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> anyhow::Result<()> {
    let command = format!("{program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status()
        .with_context(|| format!("{program} is missing: install it"))?;
    ensure!(
        status.success(),
        "`{command}` failed in {}",
        folder.display()
    );
    Ok(())
}
