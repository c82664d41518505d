//! Paths: probed, scraped, or called.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cli_output::run_json;
use super::project_files::{DEPLOYMENT_PATHS, ProjectFile, read_files};

/// What the listeners for operators answer to, from where it is routed.
fn admin_paths() -> BTreeSet<String> {
    let sources = read_files(&["service/src/http/admin.rs", "sandbox-gateway/src/routes.rs"]);
    let is_path = |word: &&str| word.starts_with('/') && !word.contains(' ');
    let quoted = |page: &ProjectFile| {
        let words = page.text.split('"').filter(is_path);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    sources.iter().flat_map(quoted).collect()
}

#[test]
fn every_probed_or_scraped_path_exists() {
    let known = admin_paths();
    assert!(
        known.contains("/readyz") && known.contains("/health"),
        "{known:?}"
    );
    let mut found = BTreeSet::new();
    for page in read_files(DEPLOYMENT_PATHS) {
        let is_monitor = page.text.contains("kind: ServiceMonitor");
        let lines: Vec<&str> = page.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let around = &lines[number.saturating_sub(2)..=number];
            let is_probe = around.iter().any(|line| line.contains("httpGet"));
            for path in named_paths(line, is_probe || is_monitor) {
                assert!(known.contains(path), "{}: {path}", page.place(number));
                found.insert(path.to_owned());
            }
        }
    }
    for path in ["/livez", "/readyz", "/startupz", "/metrics"] {
        assert!(found.contains(path), "no file requests {path}: {found:?}");
    }
}

/// Paths in a line that are certainly the program's: those that end as probes do, and what Kubernetes or Prometheus is
/// told to ask for.
fn named_paths(line: &str, is_asked: bool) -> Vec<&str> {
    let words = line.split(|c: char| !(c.is_ascii_lowercase() || c == '/'));
    let mut paths: Vec<&str> = words
        .filter_map(|word| word.rfind('/').map(|at| &word[at..]))
        .filter(|word| word.len() > 4 && word.ends_with('z') && !word.ends_with("gz"))
        .collect();
    for (key, counts) in [("metrics_path: ", true), (" path: ", is_asked)] {
        if let Some((_, value)) = line.split_once(key).filter(|_| counts) {
            let value = value.trim_start_matches(['"', '\'']);
            let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || c == '/'));
            paths.push(&value[..end.unwrap_or(value.len())]);
        }
    }
    paths
}

/// Where the API is called by its paths, apart from its own tests.
const API_CALLERS: &[&str] = &[
    "README.md",
    "deploy",
    "docs/rate-limits.md",
    "scripts/contract",
    "xtask/src",
];

#[test]
fn every_called_api_path_is_documented() {
    let document = run_json(&["openapi"]);
    let mut found = 0;
    for page in read_files(API_CALLERS) {
        for (number, line) in page.text.lines().enumerate() {
            for (at, _) in line.match_indices("/v1/") {
                let end = line[at..].find(|c: char| !is_path_char(c));
                let path = &line[at..end.map_or(line.len(), |end| at + end)];
                let place = page.place(number);
                assert!(
                    is_described(&document, method_before(&line[..at]), path),
                    "{place}: {path}"
                );
                found += 1;
            }
        }
    }
    assert!(found > 20, "too few API calls found: {found}");
}

/// With what a shell puts into it: `/v1/orders/$order/cancel`.
fn is_path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '$' | '{' | '}' | '\\')
}

/// `call POST '/v1/…` says how; most places don't.
fn method_before(line: &str) -> Option<String> {
    let word = line.trim_end_matches(['"', '\'', ' ', '`']);
    let word = word.rsplit([' ', '"', '`', '|']).next()?;
    ["GET", "POST", "PATCH", "PUT", "DELETE"]
        .contains(&word)
        .then(|| word.to_ascii_lowercase())
}

fn is_described(document: &Value, method: Option<String>, path: &str) -> bool {
    let templates = document["paths"].as_object().unwrap();
    templates.iter().any(|(template, operations)| {
        let allows_method = method
            .as_ref()
            .is_none_or(|it| operations.get(it).is_some());
        allows_method && matches_template(template, path)
    })
}

fn matches_template(template: &str, path: &str) -> bool {
    let pairs = template.split('/').zip(path.split('/'));
    template.split('/').count() == path.split('/').count()
        && pairs.into_iter().all(|(expected, actual)| {
            expected == actual || (expected.starts_with('{') && !actual.is_empty())
        })
}
