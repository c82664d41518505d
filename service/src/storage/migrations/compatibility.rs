//! Whether a binary and the schema of a database work together.

use diesel::sql_types::{Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{MIGRATIONS, Migration};
use crate::storage::statement::statement;

/// The applied migrations: version and oldest compatible version. A database that was last migrated before
/// that column existed has none, hence the JSON.
pub(super) const APPLIED: &str = "SELECT version, to_jsonb(applied) ->> 'oldest_compatible' \
     FROM __diesel_schema_migrations AS applied ORDER BY version";

/// A row of [`APPLIED`].
pub(super) type AppliedMigration = (String, Option<String>);

/// Whether a database has the schema that a binary was built for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SchemaState {
    /// Exactly this one.
    Current,
    /// These migrations are still to be applied.
    Behind(Vec<String>),
    /// A newer binary applied these migrations, and this binary works on their schema.
    Ahead(Vec<String>),
    /// A newer binary applied migrations after which this binary no longer works.
    Incompatible {
        /// The migrations that this binary does not know.
        unknown: Vec<String>,
        /// Version of the oldest release that works; `None` if a migration declares none.
        oldest_compatible: Option<String>,
    },
}

statement! {
    AppliedMigrations {} returns (Text, Nullable<Text>);
    "SELECT version, to_jsonb(applied) ->> 'oldest_compatible' \
     FROM __diesel_schema_migrations AS applied ORDER BY version"
}

diesel::define_sql_function! {
    /// The table of that name, if there is one.
    fn to_regclass(name: Text) -> Nullable<Oid>;
}

/// Compares the applied migrations with those of this binary.
///
/// # Errors
/// Returns an error if the applied migrations can't be read.
pub(crate) async fn schema_state(conn: &mut AsyncPgConnection) -> anyhow::Result<SchemaState> {
    let table = diesel::select(to_regclass("__diesel_schema_migrations"));
    let table: Option<u32> = table.get_result(conn).await?;
    let applied: Vec<AppliedMigration> = match table {
        Some(_) => AppliedMigrations {}.load(conn).await?,
        None => Vec::new(),
    };
    Ok(compare(MIGRATIONS, &applied))
}

pub(super) fn compare(known: &[Migration], applied: &[AppliedMigration]) -> SchemaState {
    let known: Vec<String> = known.iter().map(Migration::version).collect();
    let newest_known = known.iter().max().cloned().unwrap_or_default();
    let (mut unknown, mut declared) = (Vec::new(), Vec::new());
    for (version, oldest_compatible) in applied {
        if !known.contains(version) {
            unknown.push(version.clone());
            declared.push(oldest_compatible.clone());
        }
    }
    let oldest_compatible: Option<Vec<String>> = declared.into_iter().collect();
    // No unknown migration: every version works.
    let oldest_compatible = oldest_compatible.map(|all| all.into_iter().max().unwrap_or_default());
    if oldest_compatible
        .as_ref()
        .is_none_or(|oldest| *oldest > newest_known)
    {
        return SchemaState::Incompatible {
            unknown,
            oldest_compatible,
        };
    }
    let is_applied = |version: &String| applied.iter().any(|(applied, _)| applied == version);
    let missing: Vec<String> = known
        .into_iter()
        .filter(|known| !is_applied(known))
        .collect();
    match (missing.is_empty(), unknown.is_empty()) {
        (false, _) => SchemaState::Behind(missing),
        (true, false) => SchemaState::Ahead(unknown),
        (true, true) => SchemaState::Current,
    }
}

/// Explains an incompatible schema to an operator, and names the fix.
pub(crate) fn explain_incompatible(unknown: &[String], oldest_compatible: Option<&str>) -> String {
    let serves = match oldest_compatible {
        Some(oldest) => format!("which serve schema version {oldest} and later"),
        None => "not all of which declare the versions that they serve".to_owned(),
    };
    format!(
        "the database has the migrations {}, {serves}; this binary has schema version {}: run a newer version of \
         orderly (`orderly version` prints its schema version)",
        unknown.join(", "),
        super::schema_version(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[
        Migration {
            name: "1_one",
            sql: "",
        },
        Migration {
            name: "3_three",
            sql: "",
        },
    ];

    fn state(applied: &[(&str, Option<&str>)]) -> SchemaState {
        let row = |(version, oldest): &(&str, Option<&str>)| {
            ((*version).to_owned(), oldest.map(str::to_owned))
        };
        compare(KNOWN, &applied.iter().map(row).collect::<Vec<_>>())
    }

    fn texts(versions: &[&str]) -> Vec<String> {
        versions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn compares_known_and_applied_migrations() {
        assert_eq!(
            state(&[("1", None), ("3", Some("1"))]),
            SchemaState::Current
        );
        assert_eq!(state(&[]), SchemaState::Behind(texts(&["1", "3"])));
        assert_eq!(state(&[("3", None)]), SchemaState::Behind(texts(&["1"])));
    }

    #[test]
    fn schema_that_serves_newest_known_migration_is_compatible() {
        let known = [("1", None), ("3", None)];
        let ahead =
            |newer: &[(&'static str, Option<&'static str>)]| state(&[&known, newer].concat());
        assert_eq!(
            ahead(&[("4", Some("3"))]),
            SchemaState::Ahead(texts(&["4"]))
        );
        assert_eq!(
            ahead(&[("4", Some("1")), ("5", Some("3"))]),
            SchemaState::Ahead(texts(&["4", "5"]))
        );
        let incompatible = |oldest: Option<&str>, unknown| SchemaState::Incompatible {
            unknown: texts(unknown),
            oldest_compatible: oldest.map(str::to_owned),
        };
        assert_eq!(ahead(&[("4", Some("4"))]), incompatible(Some("4"), &["4"]));
        // The strictest declaration holds, whatever a later migration says.
        assert_eq!(
            ahead(&[("4", Some("4")), ("5", Some("1"))]),
            incompatible(Some("4"), &["4", "5"])
        );
        assert_eq!(
            ahead(&[("4", None), ("5", Some("1"))]),
            incompatible(None, &["4", "5"])
        );
    }

    #[test]
    fn missing_migration_below_newer_ones_is_behind() {
        assert_eq!(
            state(&[("1", None), ("4", Some("3"))]),
            SchemaState::Behind(texts(&["3"]))
        );
    }
}
