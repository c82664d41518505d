//! `make fork`: the copy has the new name everywhere, its own history, and nothing is overwritten.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::fork::fork;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A folder that does not exist yet, outside of the checkout.
fn new_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("xtask-fork-{name}-{}", std::process::id()));
    assert!(!folder.exists(), "{}", folder.display());
    folder
}

/// Returns the standard output of `git`, run in a folder.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A small project with the name in a path, in texts and in the attribution; returns its folder.
fn small_project(name: &str) -> PathBuf {
    let folder = new_folder(name);
    let files = [
        (
            "Cargo.toml",
            "[package]\nname = \"orderly\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        ),
        (
            "src/lib.rs",
            "//! Orderly.\n\n/// Prefix of `ORDERLY__`.\npub const PREFIX: &str = \"orderly_\";\n",
        ),
        (
            "deploy/orderly.service",
            "ExecStart=/usr/bin/orderly serve\n",
        ),
        ("LICENSE-MIT", "Copyright (c) The Orderly developers\n"),
    ];
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(folder.join("logo.bin"), [0xff, 0xfe, 0x00]).unwrap();
    git(&folder, &["init", "--quiet"]);
    git(&folder, &["add", "--all"]);
    fs::write(folder.join("untracked"), "orderly").unwrap();
    folder
}

#[test]
fn renames_paths_and_texts_but_not_attribution() {
    let original = small_project("small");
    let copy = new_folder("small-copy");
    fork(&original, "renamedcopy", &copy).unwrap();

    let read = |path: &str| fs::read_to_string(copy.join(path)).unwrap();
    assert_eq!(
        read("src/lib.rs"),
        "//! Renamedcopy.\n\n/// Prefix of `RENAMEDCOPY__`.\npub const PREFIX: &str = \"renamedcopy_\";\n"
    );
    assert_eq!(
        read("deploy/renamedcopy.service"),
        "ExecStart=/usr/bin/renamedcopy serve\n"
    );
    assert_eq!(
        read("LICENSE-MIT"),
        "Copyright (c) The Orderly developers\n"
    );
    assert!(read("NOTICE").starts_with("Renamedcopy began as a copy of Orderly"));
    assert_eq!(fs::read(copy.join("logo.bin")).unwrap(), [0xff, 0xfe, 0x00]);
    assert!(!copy.join("untracked").exists());
    assert_eq!(
        git(&copy, &["log", "--format=%s"]),
        "Start Renamedcopy from Orderly\n"
    );
    assert_eq!(git(&copy, &["status", "--short"]), "");
    fs::remove_dir_all(original).unwrap();
    fs::remove_dir_all(copy).unwrap();
}

#[test]
fn renames_this_project_completely() {
    let copy = new_folder("whole");
    fork(&root(), "renamedcopy", &copy).unwrap();

    let attribution = [":!LICENSE-MIT", ":!LICENSE-APACHE", ":!NOTICE"];
    let search = [&["grep", "-Iil", "orderly", "--", "."], &attribution[..]].concat();
    assert_eq!(git(&copy, &search), "", "files with the old name");
    let paths = git(&copy, &["ls-files"]);
    assert!(!paths.to_lowercase().contains("orderly"), "{paths}");
    assert_eq!(git(&copy, &["rev-list", "--count", "HEAD"]), "1\n");
    assert_eq!(git(&copy, &["status", "--short"]), "");
    fs::remove_dir_all(copy).unwrap();
}

#[test]
fn rejects_names_that_cannot_be_used() {
    for (name, reason) in [
        ("", "one word"),
        ("x", "one word"),
        ("My-Shop", "one word"),
        ("9lives", "one word"),
        ("averyveryverylongname", "one word"),
        ("reorderly", "name of this project"),
        ("tokio", "library"),
        ("orders", "module"),
        ("service", "module"),
        ("select", "keyword"),
        ("type", "keyword"),
        ("std", "keyword"),
        ("window", "keyword"),
    ] {
        let folder = new_folder("rejected");
        let error = fork(&root(), name, &folder).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
        assert!(!folder.exists(), "{name}: the folder was created");
    }
}

#[test]
fn rejects_folders_that_cannot_be_used() {
    let full = new_folder("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("file"), "").unwrap();
    let error = fork(&root(), "renamedcopy", &full).unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
    fs::remove_dir_all(full).unwrap();

    let inside = root().join("target/fork-inside/deep");
    let error = fork(&root(), "renamedcopy", &inside)
        .unwrap_err()
        .to_string();
    assert!(error.contains("inside of this checkout"), "{error}");
    assert!(!inside.parent().unwrap().exists());
}

#[test]
fn failed_copy_leaves_no_folder() {
    let original = small_project("failed");
    let manifest = original.join("Cargo.toml");
    fs::write(&manifest, "[package]\nname = orderly without quotes\n").unwrap();
    let copy = new_folder("failed-copy");
    let error = fork(&original, "renamedcopy", &copy)
        .unwrap_err()
        .to_string();
    assert!(error.contains("cargo"), "{error}");
    assert!(!copy.exists());
    fs::remove_dir_all(original).unwrap();
}

#[test]
fn rejects_folder_without_git() {
    let folder = new_folder("no-git");
    fs::create_dir(&folder).unwrap();
    let error = fork(&folder, "renamedcopy", &new_folder("none")).unwrap_err();
    assert!(
        error.to_string().contains("clone the repository"),
        "{error}"
    );
    fs::remove_dir(folder).unwrap();
}
