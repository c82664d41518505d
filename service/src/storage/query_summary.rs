//! A short name for a statement: what it does to which tables, such as
//! `INSERT orders UPDATE products`.
//!
//! That is the "query summary" of OpenTelemetry's conventions for databases. It has no
//! values and there are only as many as there are statements in this program, so it can
//! be the name of a span.

use crate::storage::schema::TABLES;

/// The name of a statement, from its text.
pub(super) fn query_summary(text: &str) -> String {
    let mut operations = Vec::<(&str, &str)>::new();
    let (mut previous, mut read_operation) = ("", "SELECT");
    for word in words(text) {
        if matches!(word, "SELECT" | "DELETE") {
            read_operation = word;
        }
        if let Some(table) = TABLES.iter().find(|table| **table == word) {
            let step = match previous {
                "INTO" => Some(("INSERT", *table)),
                "UPDATE" => Some(("UPDATE", *table)),
                "JOIN" => Some(("SELECT", *table)),
                "FROM" => Some((read_operation, *table)),
                _ => None,
            };
            operations.extend(step.filter(|step| !operations.contains(step)));
        }
        previous = word;
    }
    if operations.is_empty() {
        // `BEGIN`, `COMMIT`, a call of a function.
        return words(text).next().unwrap_or_default().to_owned();
    }
    let steps: Vec<String> = (operations.iter())
        .map(|(operation, table)| format!("{operation} {table}"))
        .collect();
    steps.join(" ")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_operations_and_tables() {
        for (text, expected) in [
            ("BEGIN", "BEGIN"),
            ("SELECT 1", "SELECT"),
            (
                r#"SELECT "users"."id" FROM "users" WHERE "id" = $1"#,
                "SELECT users",
            ),
            (
                "SELECT stock FROM products WHERE id = ANY ($1) FOR NO KEY UPDATE",
                "SELECT products",
            ),
            (r#"DELETE  FROM "jobs" WHERE true"#, "DELETE jobs"),
            (
                "INSERT INTO users (name) VALUES ($1) ON CONFLICT DO UPDATE SET name = $1",
                "INSERT users",
            ),
            (
                "WITH line AS (SELECT * FROM unnest($1)), placed AS (INSERT INTO orders VALUES \
                 ($2)), reserved AS (UPDATE products SET stock = 1 FROM line, placed) \
                 SELECT 1 FROM placed",
                "INSERT orders UPDATE products",
            ),
            (
                "UPDATE jobs SET a = 1 WHERE id = ANY (ARRAY(SELECT id \
                 FROM jobs FOR UPDATE SKIP LOCKED))",
                "UPDATE jobs SELECT jobs",
            ),
        ] {
            assert_eq!(query_summary(text), expected, "{text}");
        }
    }

    #[test]
    fn tables_constant_matches_schema() {
        let schema = include_str!("schema.rs");
        let declared: Vec<&str> = (schema.split("diesel::table! {").skip(1))
            .filter_map(|rest| words(rest).next())
            .collect();
        assert_eq!(declared, TABLES);
    }
}
