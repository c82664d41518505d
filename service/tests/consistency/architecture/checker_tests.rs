//! Tests of the checker itself.

use super::Source;

#[test]
fn checker_finds_imports_from_upper_layers() {
    let imports = |path: &str, text: &str| Source::new(path, text).forbidden_imports().len();
    for (path, text, expected) in [
        ("domain/order.rs", "use crate::storage::orders;", 1),
        ("domain/order.rs", "fn f() { crate::storage::ping() }", 1),
        ("domain/order.rs", "use super::super::http;", 1),
        ("domain/order.rs", "use super::http;", 0),
        ("domain/mod.rs", "use super::http;", 1),
        (
            "storage/mod.rs",
            "use crate::{config, domain::{ids, http}, usecases::current_time};",
            1,
        ),
        (
            "storage/mod.rs",
            "use crate::{\n    jobs,\n    usecases,\n};",
            2,
        ),
        ("jobs/mod.rs", "use crate::http::problem;", 1),
        ("telemetry/logging.rs", "use crate::config::LogConfig;", 0),
        ("config/mod.rs", "use crate::telemetry::logging;", 1),
        ("config/mod.rs", "//! See [`crate::telemetry`].", 0),
        (
            "config/mod.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::app;\n}",
            0,
        ),
        (
            "config/mod.rs",
            "#[cfg(test)]\nmod tests;\nuse crate::app;",
            1,
        ),
        ("drawer/mod.rs", "use crate::domain::ids;", 1),
        ("config/mod.rs", "use crate::*;", 1),
    ] {
        assert_eq!(imports(path, text), expected, "{path}: {text}");
    }
}

#[test]
fn checker_finds_restricted_names() {
    let misplaced = |path: &str, text: &str| Source::new(path, text).misplaced_names().len();
    for (path, text, expected) in [
        (
            "usecases/seed.rs",
            "use diesel_async::AsyncPgConnection;",
            0,
        ),
        ("http/routes.rs", "use diesel_async::AsyncPgConnection;", 1),
        (
            "usecases/seed.rs",
            "fn f() { diesel::sql_query(\"SELECT 1\") }",
            1,
        ),
        (
            "storage/orders.rs",
            "fn f() { diesel::sql_query(\"SELECT 1\") }",
            0,
        ),
        (
            "app/mod.rs",
            "fn f() { let url = std::env::var(\"URL\"); }",
            2,
        ),
        (
            "usecases/error.rs",
            "const C: u16 = f!(StatusCode::CONFLICT);",
            1,
        ),
    ] {
        assert_eq!(misplaced(path, text), expected, "{path}: {text}");
    }
}
