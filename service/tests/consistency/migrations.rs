//! Every migration is embedded, declares which versions it serves, and limits the wait for its locks.

use std::fs;
use std::path::PathBuf;

use orderly::storage::migrations::{MIGRATIONS, Migration};

use super::project_files::root;

const SET_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s';";

fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("migrations")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Returns the rules that a file breaks. `sql` is `up.sql` or `down.sql`.
fn violations(sql: &str, runs_outside_transaction: bool) -> Vec<&'static str> {
    let code = |line: &&str| !line.starts_with("--");
    let code: Vec<&str> = sql.lines().filter(code).collect();
    let code = code.join("\n");
    let statements: Vec<&str> = code
        .split(';')
        .map(str::trim)
        .filter(|sql| !sql.is_empty())
        .collect();
    let mut violations = Vec::new();
    if runs_outside_transaction {
        if !statements
            .iter()
            .all(|statement| statement.contains("CONCURRENTLY"))
        {
            violations.push("outside a transaction, only CONCURRENTLY is safe");
        }
        return violations;
    }
    if !code.trim_start().starts_with(SET_LOCK_TIMEOUT) {
        violations.push("its first statement does not limit the wait for locks");
    }
    if code.to_lowercase().matches("lock_timeout").count() != 1 {
        violations.push("it sets another lock_timeout");
    }
    violations
}

#[test]
fn every_migration_is_embedded() {
    let folders = folders();
    let names: Vec<_> = folders
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    let embedded: Vec<_> = MIGRATIONS.iter().map(|migration| migration.name).collect();
    assert_eq!(
        names, embedded,
        "add it to MIGRATIONS in storage/migrations/mod.rs"
    );
}

#[test]
fn every_migration_declares_version_that_exists() {
    let versions: Vec<String> = MIGRATIONS.iter().map(Migration::version).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    for migration in MIGRATIONS {
        let oldest = migration.oldest_compatible().unwrap();
        let is_known = versions.iter().any(|version| version == oldest);
        assert!(
            is_known,
            "{}: no migration has the version {oldest}",
            migration.name
        );
    }
}

#[test]
fn every_migration_limits_wait_for_locks() {
    for folder in folders() {
        for name in ["up.sql", "down.sql"] {
            let path = folder.join(name);
            let sql = fs::read_to_string(&path).unwrap();
            let outside = sql
                .lines()
                .any(|line| line.starts_with("-- No transaction: "));
            let violations = violations(&sql, outside);
            assert!(violations.is_empty(), "{}: {violations:?}", path.display());
        }
    }
}

#[test]
fn every_migration_says_whether_it_is_safe_to_run_live() {
    for migration in MIGRATIONS {
        let says = ["-- Safe to run live", "-- NOT safe"];
        let says = says.iter().any(|words| migration.sql.contains(words));
        assert!(says, "{}", migration.name);
    }
}

#[test]
fn lint_rejects_unlimited_waits() {
    let good = format!("-- Comment; with lock_timeout\n{SET_LOCK_TIMEOUT}\nDROP TABLE a;");
    assert!(violations(&good, false).is_empty());
    for bad in [
        "DROP TABLE a;".to_owned(),
        "SET lock_timeout = 0;\nDROP TABLE a;".to_owned(),
        format!("DROP TABLE a;\n{SET_LOCK_TIMEOUT}"),
        format!("{SET_LOCK_TIMEOUT}\nset LOCK_TIMEOUT to default;\nDROP TABLE a;"),
        format!("{SET_LOCK_TIMEOUT}\nSELECT set_config('lock_timeout', '0', true);"),
    ] {
        assert!(!violations(&bad, false).is_empty(), "{bad}");
    }
    let index = "CREATE INDEX CONCURRENTLY a ON b (c);";
    assert!(violations(index, true).is_empty());
    assert!(!violations("CREATE INDEX a ON b (c);", true).is_empty());
}
