//! Finds or installs the programs of Postgres and Redis.
//!
//! # Problem
//! The first `make run` on a machine without Postgres ends with a package to install, and many
//! people have no right to install one.
//!
//! # How it works
//! `ORDERLY_SERVERS` selects where a server may come from; each server is looked for separately:
//!
//! | value | order |
//! |---|---|
//! | `auto` (default) | installed server, prebuilt server, package manager |
//! | `installed` | installed server |
//! | `prebuilt` | prebuilt server |
//! | `package-manager` | installed server, package manager |
//!
//! A prebuilt server ([`prebuilt`]) needs no root. A package manager is used only if it needs no
//! question ([`packages`]). If nothing remains, the error names the packages to install.
//!
//! # Pitfalls
//! Only the major version that created the data of a Postgres can read it. `auto` therefore prefers
//! a prebuilt server of that version to an installed one of another. If no server has it, the
//! installed one is returned, and the caller reports the two versions.
//!
//! # Tests
//! `auto_prefers_installed_then_prebuilt_then_package`, `each_choice_fails_with_one_message`,
//! `wrong_hash_installs_nothing`, `prebuilt_postgres_runs_as_unprivileged_user`,
//! `prebuilt_redis_runs_as_unprivileged_user`.

mod installed;
mod packages;
pub mod prebuilt;

use std::env;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;

use crate::programs::find_program;
use crate::progress::log_progress;
use prebuilt::{PrebuiltError, PrebuiltServer};

/// The oldest major version of Postgres that the project supports.
const MIN_POSTGRES_MAJOR: u32 = 14;

/// The folder of the checkout for programs that are not installed.
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.data/tools");

/// The programs of one Postgres installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresPrograms {
    /// The folder with `initdb`, `pg_ctl`, `postgres`, `psql`, `pg_dump` and `pgbench`.
    pub bin: PathBuf,
    /// The major version, which alone can read its data.
    pub major: u32,
}

/// Returns the programs of Postgres, of that major version if there are such.
///
/// # Errors
/// Returns an error with one line that says what to install.
pub fn find_or_install_postgres(major: Option<u32>) -> anyhow::Result<PostgresPrograms> {
    provide(&Postgres { major }, ServerChoice::from_env()?)
}

/// Returns the program of Redis: `redis-server` or `valkey-server`.
///
/// # Errors
/// Returns an error with one line that says what to install.
pub fn find_or_install_redis() -> anyhow::Result<PathBuf> {
    provide(&Redis, ServerChoice::from_env()?)
}

/// The value of `ORDERLY_SERVERS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerChoice {
    Auto,
    Installed,
    Prebuilt,
    PackageManager,
}

impl ServerChoice {
    fn from_env() -> anyhow::Result<Self> {
        match env::var("ORDERLY_SERVERS") {
            Ok(value) if !value.is_empty() => value.parse(),
            _ => Ok(Self::Auto),
        }
    }
}

impl FromStr for ServerChoice {
    type Err = anyhow::Error;

    fn from_str(value: &str) -> anyhow::Result<Self> {
        Ok(match value {
            "auto" => Self::Auto,
            "installed" => Self::Installed,
            "prebuilt" => Self::Prebuilt,
            "package-manager" => Self::PackageManager,
            _ => bail!(
                "ORDERLY_SERVERS is '{value}': use auto, installed, prebuilt or package-manager"
            ),
        })
    }
}

/// The ways in which one server gets onto this machine.
trait Server {
    type Programs;
    /// The packages to install, for the message.
    const PACKAGES: &str;

    /// Returns the name of the server with the versions that are accepted.
    fn name(&self) -> String;
    fn find_installed(&self) -> Option<Self::Programs>;
    /// Returns `true` if these programs can read the data that is there.
    fn is_suitable(&self, programs: &Self::Programs) -> bool;
    /// Returns `true` if a prebuilt server could read the data that is there.
    fn is_prebuilt_suitable(&self) -> bool;
    fn install_prebuilt(&self) -> Result<Self::Programs, PrebuiltError>;
    /// Installs a package; failures are logged.
    fn install_package(&self);
}

fn provide<S: Server>(server: &S, choice: ServerChoice) -> anyhow::Result<S::Programs> {
    if choice == ServerChoice::Prebuilt {
        return Ok(server.install_prebuilt()?);
    }
    let mut unsuitable = None;
    if let Some(programs) = server.find_installed() {
        if server.is_suitable(&programs) {
            return Ok(programs);
        }
        unsuitable = Some(programs);
    }
    if choice == ServerChoice::Auto && server.is_prebuilt_suitable() {
        match server.install_prebuilt() {
            Ok(programs) => return Ok(programs),
            Err(error @ PrebuiltError::WrongHash { .. }) => return Err(error.into()),
            Err(error) => log_progress(&error.to_string()),
        }
    }
    if let Some(programs) = unsuitable {
        return Ok(programs);
    }
    let (name, packages) = (server.name(), S::PACKAGES);
    if choice == ServerChoice::Installed {
        bail!(
            "{name} is missing, and ORDERLY_SERVERS=installed gets none: install it ({packages})"
        );
    }
    server.install_package();
    match server.find_installed() {
        Some(programs) => Ok(programs),
        None => bail!("{name} is missing: install it ({packages})"),
    }
}

struct Postgres {
    /// The major version of the data that is there.
    major: Option<u32>,
}

impl Server for Postgres {
    type Programs = PostgresPrograms;
    const PACKAGES: &str =
        "Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17";

    fn name(&self) -> String {
        match self.major {
            Some(major) => format!("Postgres {major}"),
            None => format!("Postgres {MIN_POSTGRES_MAJOR} or newer"),
        }
    }

    fn find_installed(&self) -> Option<PostgresPrograms> {
        installed::find_postgres(self.major)
    }

    fn is_suitable(&self, programs: &PostgresPrograms) -> bool {
        self.major.is_none_or(|major| programs.major == major)
    }

    fn is_prebuilt_suitable(&self) -> bool {
        (self.major).is_none_or(|major| PrebuiltServer::POSTGRES.major() == Some(major))
    }

    fn install_prebuilt(&self) -> Result<PostgresPrograms, PrebuiltError> {
        let initdb = PrebuiltServer::POSTGRES.find_or_install(Path::new(TOOLS))?;
        installed::read_postgres(initdb.parent().unwrap_or(Path::new("/")))
            .ok_or_else(|| PrebuiltServer::POSTGRES.unavailable("initdb reports no version"))
    }

    fn install_package(&self) {
        packages::install_postgres();
    }
}

struct Redis;

impl Server for Redis {
    type Programs = PathBuf;
    const PACKAGES: &str =
        "Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis";

    fn name(&self) -> String {
        "Redis".to_owned()
    }

    fn find_installed(&self) -> Option<PathBuf> {
        find_program("redis-server").or_else(|| find_program("valkey-server"))
    }

    fn is_suitable(&self, _programs: &PathBuf) -> bool {
        true
    }

    fn is_prebuilt_suitable(&self) -> bool {
        true
    }

    fn install_prebuilt(&self) -> Result<PathBuf, PrebuiltError> {
        PrebuiltServer::REDIS.find_or_install(Path::new(TOOLS))
    }

    fn install_package(&self) {
        packages::install_redis();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
