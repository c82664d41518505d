//! Finds programs, and installs a missing one where that needs no question.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::progress::log_progress;

/// Returns the path of a program on `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Returns the path of a program, which is installed first if it is missing.
///
/// # Errors
/// Returns an error with one line that names the packages if the program cannot be installed.
pub fn require_program(
    program: &str,
    apt_package: &str,
    brew_package: &str,
) -> anyhow::Result<PathBuf> {
    if let Some(found) = find_program(program) {
        return Ok(found);
    }
    if let Some(manager) = PackageManager::find() {
        let package = if manager == PackageManager::Brew {
            brew_package
        } else {
            apt_package
        };
        manager.install_or_log(&[package]);
    }
    let Some(found) = find_program(program) else {
        bail!(
            "{program} is missing: install it (Debian, Ubuntu: apt-get install {apt_package}; \
             macOS: brew install {brew_package})"
        );
    };
    Ok(found)
}

/// Installs the part of Python that makes virtual environments, if it is missing: Debian has a
/// package of its own for it.
///
/// # Errors
/// Returns an error with one line that names the package if it cannot be installed.
pub fn require_python_venv(python: &Path) -> anyhow::Result<()> {
    let has_venv = || {
        let mut import = Command::new(python);
        import
            .args(["-c", "import ensurepip, venv"])
            .stdin(Stdio::null());
        let status = import.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if has_venv() {
        return Ok(());
    }
    if let Some(manager @ (PackageManager::Apt | PackageManager::SudoApt)) = PackageManager::find()
    {
        manager.install_or_log(&["python3-venv"]);
    }
    if !has_venv() {
        bail!(
            "Python can't make a virtual environment: install python3-venv \
             (Debian, Ubuntu: apt-get install python3-venv)"
        );
    }
    Ok(())
}

/// A package manager that installs without a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackageManager {
    /// `apt-get` as root.
    Apt,
    /// `apt-get` through a `sudo` that needs no password.
    SudoApt,
    /// Homebrew, which does not run as root.
    Brew,
}

impl PackageManager {
    pub(crate) fn find() -> Option<Self> {
        if find_program("apt-get").is_some() && is_root() {
            return Some(Self::Apt);
        }
        if find_program("apt-get").is_some() && has_passwordless_sudo() {
            return Some(Self::SudoApt);
        }
        (find_program("brew").is_some() && !is_root()).then_some(Self::Brew)
    }

    /// Installs packages. What the package manager writes goes to standard error.
    pub(crate) fn install(self, packages: &[&str]) -> anyhow::Result<()> {
        let names = packages.join(" ");
        if self == Self::Brew {
            log_progress(&format!("Installing {names} with Homebrew"));
            return run(Command::new("brew").arg("install").args(packages));
        }
        log_progress(&format!("Installing {names} with apt-get"));
        run(self.apt().arg("update"))?;
        run((self.apt().args(["install", "--no-install-recommends"])).args(packages))
    }

    /// Does the same, but logs a failure: the caller looks for the program afterwards.
    pub(crate) fn install_or_log(self, packages: &[&str]) {
        if let Err(error) = self.install(packages) {
            log_progress(&format!("{error:#}"));
        }
    }

    /// Returns a command that runs a program with the rights to change the machine.
    pub(crate) fn privileged(self, program: &str) -> Command {
        if self != Self::SudoApt {
            return Command::new(program);
        }
        let mut command = Command::new("sudo");
        command.args(["-n", program]);
        command
    }

    fn apt(self) -> Command {
        let mut command = self.privileged("env");
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]);
        // Waits for the lock: another checkout may install at the same time.
        command.args(["-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0"]);
        command
    }
}

/// Runs a command without input, its output on standard error.
///
/// # Errors
/// Returns an error if the command does not start or fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = (command.stdin(Stdio::null()).stdout(io::stderr()).status())
        .with_context(|| format!("{name} does not start"))?;
    if !status.success() {
        bail!("{name} failed with {status}");
    }
    Ok(())
}

/// Runs a command with `text` as its input, without output.
pub(crate) fn run_with_input(command: &mut Command, text: &str) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = (command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn())
        .with_context(|| format!("{name} does not start"))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{name} failed with {status}");
    }
    Ok(())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn has_passwordless_sudo() -> bool {
    let mut command = Command::new("sudo");
    command.args(["-n", "true"]).stdin(Stdio::null());
    let output = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    output.is_ok_and(|status| status.success())
}
