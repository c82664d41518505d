//! Environment variables.

use std::collections::BTreeSet;

use super::cli_output::Schema;
use super::project_files::{TEXTS, find_words};

/// Variables that are no settings, each with the file that reads it.
const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("ORDERLY_CONFIG_DIR", "service/src/config/env_variable.rs"),
    ("ORDERLY_BUILD_COMMIT", "service/build.rs"),
    ("ORDERLY_BUILD_EPOCH", "service/build.rs"),
    ("ORDERLY_IMAGE", "docker-compose.yml"),
    ("ORDERLY_TEST_DATABASE_URL", "service/tests/support/"),
    ("ORDERLY_TEST_REDIS_URL", "service/tests/support/"),
    ("ORDERLY_TEST_PGBOUNCERS", "service/tests/support/"),
    ("ORDERLY_TEST_CERTIFICATES", "service/tests/support/"),
    ("ORDERLY_TEST_POSTGRES_BIN", "scripts/ops-check.d/"),
    ("ORDERLY_DRILL_REPORT", "service/tests/"),
    ("ORDERLY_SERVERS", "xtask/src/servers.rs"),
    ("ORDERLY_LOAD_PROFILE", "xtask/src/cargo.rs"),
    ("ORDERLY_CONTRACT_URL", "scripts/contract/"),
    ("ORDERLY_CONTRACT_TOKEN", "scripts/contract/"),
];

fn is_variable_char(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

#[test]
fn every_variable_is_read_by_service_or_tools() {
    // How the documents say "any setting".
    const ANY: [&str; 2] = ["ORDERLY__SECTION__KEY", "ORDERLY__SECTION__KEY_FILE"];
    let schema = Schema::get();
    let mut known = schema.all("variable");
    known.extend(schema.all("file_variable"));
    known.extend(
        OTHER_VARIABLES
            .iter()
            .map(|(variable, _)| (*variable).to_owned()),
    );
    let is_known = |word: &str| match word.strip_suffix("__") {
        // `ORDERLY__RATE_LIMIT__…`: a section.
        Some(_) => known.iter().any(|variable| variable.starts_with(word)),
        None => known.contains(word) || ANY.contains(&word),
    };
    let mut named = find_words(TEXTS, "ORDERLY_", is_variable_char);
    named.retain(|(word, _)| word != "ORDERLY_");
    assert!(named.len() > 20, "too few variables found: {named:?}");
    let unknown: Vec<_> = (named.iter().filter(|(word, _)| !is_known(word))).collect();
    assert!(unknown.is_empty(), "read by nothing: {unknown:#?}");
}

#[test]
fn every_sandbox_gateway_variable_is_read() {
    // The names of the images are read by compose.
    let readers = &["sandbox-gateway/src/cli", "docker-compose.yml"];
    let words = |places| find_words(places, "SANDBOX_GATEWAY_", is_variable_char);
    let known: BTreeSet<String> = words(readers).into_iter().map(|(word, _)| word).collect();
    let named = words(TEXTS);
    assert!(named.len() > 5, "too few variables found: {named:?}");
    let unknown: Vec<_> = (named.iter().filter(|(word, _)| !known.contains(word))).collect();
    assert!(unknown.is_empty(), "read by nothing: {unknown:#?}");
}

#[test]
fn other_variables_are_read_by_listed_files() {
    for (variable, reader) in OTHER_VARIABLES {
        let found = find_words(&[reader], variable, is_variable_char);
        let is_read = found.iter().any(|(word, _)| word == variable);
        assert!(is_read, "{reader} does not read {variable}");
    }
}
