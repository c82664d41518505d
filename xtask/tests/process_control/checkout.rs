//! A checkout of the test's own, so that nothing here touches the data of the real one.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A folder with the scripts that the commands call; removed with the value.
pub(crate) struct Checkout {
    folder: PathBuf,
    /// The user and group that the commands run as, if not as the caller.
    account: Option<u32>,
}

impl Checkout {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("xtask-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().canonicalize().unwrap().join(name);
        fs::create_dir_all(folder.join("xtask")).unwrap();
        fs::write(folder.join("xtask/Cargo.toml"), "").unwrap();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
        fs::create_dir_all(folder.join("scripts/lib")).unwrap();
        for file in ["certs.sh", "lib/require.sh"] {
            fs::copy(scripts.join(file), folder.join("scripts").join(file)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_xtask"), folder.join("xtask/xtask")).unwrap();
        Self {
            folder,
            account: None,
        }
    }

    /// The same, of another user.
    pub(crate) fn owned_by(test: &str, id: u32) -> Self {
        let mut checkout = Self::new(test);
        chown(&checkout.folder, Some(id), Some(id)).unwrap();
        checkout.account = Some(id);
        checkout
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// A command of the developer, in this checkout.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join("xtask/xtask"));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        if let Some(id) = self.account {
            command.uid(id).gid(id);
        }
        command
    }

    /// The folders of throw-away data.
    pub(crate) fn test_data(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join(".data"))
            .into_iter()
            .flatten()
            .flatten();
        let is_test = |path: &PathBuf| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("test-")
        };
        entries.map(|entry| entry.path()).filter(is_test).collect()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A command that runs; its servers are stopped with the value.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.signal(Signal::TERM);
            self.0.wait().unwrap();
        }
    }
}

/// The processes that the pid files of a data folder name; one that is being written is not read.
pub(crate) fn noted_processes(data: &Path) -> Vec<Pid> {
    let files = fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let pid_files = files.filter(|path| path.extension().is_some_and(|end| end == "pid"));
    pid_files
        .filter_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            Pid::from_raw(text.split(' ').next()?.parse().ok()?)
        })
        .collect()
}

/// Whether there is such a process.
pub(crate) fn exists(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

/// Waits until a condition gives a value.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in a minute: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
