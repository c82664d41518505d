//! Finds an installed Postgres.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{MIN_POSTGRES_MAJOR, PostgresPrograms};
use crate::programs::{find_program, is_executable};

/// The folders with one folder per version, and how the names of those begin. Debian keeps the
/// programs of the server off the `PATH`.
const VERSION_FOLDERS: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
    ("/usr/local", "pgsql"),
];

/// Returns the installed Postgres of that major version, otherwise the newest that the project
/// supports.
pub(super) fn find_postgres(major: Option<u32>) -> Option<PostgresPrograms> {
    let on_path = find_program("initdb").and_then(|initdb| initdb.parent().map(Path::to_owned));
    let others = VERSION_FOLDERS
        .iter()
        .flat_map(|(folder, prefix)| list_bin(folder, prefix));
    select_postgres(on_path.into_iter().chain(others), major)
}

fn list_bin(folder: &str, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join("bin"))
        .collect()
}

fn select_postgres(
    folders: impl Iterator<Item = PathBuf>,
    major: Option<u32>,
) -> Option<PostgresPrograms> {
    let mut newest: Option<PostgresPrograms> = None;
    for found in folders.filter_map(|bin| read_postgres(&bin)) {
        if Some(found.major) == major {
            return Some(found);
        }
        if newest
            .as_ref()
            .is_none_or(|newest| found.major > newest.major)
        {
            newest = Some(found);
        }
    }
    newest.filter(|newest| newest.major >= MIN_POSTGRES_MAJOR)
}

/// Returns the Postgres in that folder. The package of a client alone has no `initdb`.
pub(super) fn read_postgres(bin: &Path) -> Option<PostgresPrograms> {
    if !is_executable(&bin.join("initdb")) || !is_executable(&bin.join("psql")) {
        return None;
    }
    let output = Command::new(bin.join("initdb"))
        .arg("--version")
        .output()
        .ok()?;
    let major = read_major(&String::from_utf8_lossy(&output.stdout))?;
    let bin = bin.to_owned();
    Some(PostgresPrograms { bin, major })
}

/// Returns the first number of a text, such as `initdb (PostgreSQL) 17.10`.
pub(super) fn read_major(text: &str) -> Option<u32> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    numbers.find(|number| !number.is_empty())?.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder with programs that report a version; removed with the value.
    struct FakeInstallations(PathBuf);

    impl FakeInstallations {
        fn new(name: &str) -> Self {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../target/installed-tests")
                .join(name);
            let _ = fs::remove_dir_all(&folder);
            Self(folder)
        }

        fn add(&self, version: &str, programs: &[&str]) -> PathBuf {
            let bin = self.0.join(version);
            fs::create_dir_all(&bin).unwrap();
            for program in programs {
                let path = bin.join(program);
                fs::write(
                    &path,
                    format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n"),
                )
                .unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            bin
        }
    }

    impl Drop for FakeInstallations {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn selects_wanted_or_newest_supported_postgres() {
        let fake = FakeInstallations::new("selects-postgres");
        let server = ["initdb", "psql"];
        let folders = [
            fake.add("13.4", &server),
            fake.add("15.2", &server),
            fake.add("16.1", &server),
            fake.add("18.0", &["psql"]),
        ];
        let select = |major, count: usize| {
            let found = select_postgres(folders.iter().take(count).cloned(), major);
            found.map(|found| (found.major, found.bin))
        };
        assert_eq!(select(None, 4), Some((16, folders[2].clone())));
        assert_eq!(select(Some(15), 4), Some((15, folders[1].clone())));
        assert_eq!(select(Some(17), 4), Some((16, folders[2].clone())));
        assert_eq!(select(None, 1), None, "older than supported");
    }
}
