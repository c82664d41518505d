//! The names, kind by kind.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::project::{Page, pages};

/// Where variables are named.
const TEXTS: &[&str] = &[
    ".ci",
    ".env.example",
    ".github",
    "Makefile",
    "README.md",
    "config",
    "deploy",
    "docker-compose.yml",
    "docs",
    "loadtest",
    "observability",
    "scripts",
];

/// Where the program is run and watched.
const OPERATIONS: &[&str] = &["deploy", "docker-compose.yml", "observability"];

/// What the binary prints about itself.
fn ask(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_orderly"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn texts(list: &[Value], field: &str) -> BTreeSet<String> {
    let fields = list.iter().filter_map(|entry| entry[field].as_str());
    fields.map(str::to_owned).collect()
}

fn settings() -> Vec<Value> {
    ask(&["config", "--schema"])
}

#[test]
fn every_variable_is_a_setting() {
    const PREFIX: &str = "ORDERLY__";
    // How the documents say "any setting".
    const ANY: [&str; 2] = ["ORDERLY__SECTION__KEY", "ORDERLY__SECTION__KEY_FILE"];
    let settings = settings();
    let mut known = texts(&settings, "variable");
    known.extend(texts(&settings, "file_variable"));
    let is_known = |word: &str| match word.strip_suffix("__") {
        // `ORDERLY__RATE_LIMIT__…`: a section.
        Some(_) => known.iter().any(|variable| variable.starts_with(word)),
        None => known.contains(word) || ANY.contains(&word),
    };
    let may_be = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let named: Vec<_> = (pages(TEXTS).iter())
        .flat_map(|page| page.words(PREFIX, may_be))
        .collect();
    assert!(named.len() > 20, "are the files still there? {named:?}");
    let unknown: Vec<_> = (named.iter().filter(|(word, _)| !is_known(word))).collect();
    assert!(unknown.is_empty(), "no setting: {unknown:#?}");
}

#[test]
fn every_metric_is_registered() {
    let may_be = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    // Names of containers and the like have other characters, or are not of this kind.
    let is_metric = |word: &str| word.matches('_').count() > 1;
    let named: Vec<_> = (pages(OPERATIONS).iter())
        .flat_map(|page| page.words("orderly_", may_be))
        .filter(|(word, _)| is_metric(word))
        .collect();
    assert!(!named.is_empty());
    let known = series(&ask(&["metrics", "--json"]));
    let unknown: Vec<_> = (named.iter().filter(|(word, _)| !known.contains(word))).collect();
    assert!(unknown.is_empty(), "no metric: {unknown:#?}");
}

/// The names under which Prometheus stores the metrics.
fn series(metrics: &[Value]) -> BTreeSet<String> {
    let names = metrics.iter().flat_map(|metric| {
        let name = metric["name"].as_str().unwrap();
        let suffixes: &[&str] = match metric["type"].as_str() {
            Some("histogram") => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
    });
    names.collect()
}

#[test]
fn every_port_is_one_that_the_program_listens_on() {
    let settings = settings();
    let default = |key: &str| {
        let setting = settings.iter().find(|setting| setting["key"] == key);
        setting.unwrap()["default"].to_string()
    };
    let known = ["http.port", "admin.port", "sandbox_gateway.port"].map(default);
    let may_be = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    for page in pages(OPERATIONS) {
        for host in ["orderly", "sandbox-gateway"] {
            for (word, place) in page.words(host, may_be) {
                let port = word.rsplit_once(':').map_or("", |(_, port)| port);
                if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
                    assert!(known.iter().any(|it| it == port), "{place}: {word}");
                }
            }
        }
    }
}

/// What the listeners for operators answer to, from where it is routed.
fn operators_paths() -> BTreeSet<String> {
    let sources = pages(&[
        "service/src/http/admin.rs",
        "service/src/payments/sandbox/routes.rs",
    ]);
    let is_path = |word: &&str| word.starts_with('/') && !word.contains(' ');
    let quoted = |page: &Page| {
        let words = page.text.split('"').filter(is_path);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    sources.iter().flat_map(quoted).collect()
}

#[test]
fn every_probed_or_scraped_path_is_answered() {
    let known = operators_paths();
    assert!(
        known.contains("/readyz") && known.contains("/health"),
        "{known:?}"
    );
    for page in pages(OPERATIONS) {
        let lines: Vec<&str> = page.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            for path in named_paths(&lines[number.saturating_sub(2)..=number], line) {
                assert!(known.contains(path), "{}: {path}", page.place(number));
            }
        }
    }
}

/// Paths in a line that are certainly the program's: those that end as probes do, what an HTTP probe of Kubernetes
/// asks for (`around` is the line with the two before it), and what Prometheus is told to scrape.
fn named_paths<'a>(around: &[&str], line: &'a str) -> Vec<&'a str> {
    let words = line.split(|c: char| !(c.is_ascii_lowercase() || c == '/'));
    let mut paths: Vec<&str> = words
        .filter_map(|word| word.rfind('/').map(|at| &word[at..]))
        .filter(|word| word.len() > 4 && word.ends_with('z') && !word.ends_with("gz"))
        .collect();
    let is_probe = around.iter().any(|line| line.contains("httpGet"));
    for (key, counts) in [("metrics_path: ", true), ("path: ", is_probe)] {
        if let Some((_, value)) = line.split_once(key).filter(|_| counts) {
            let value = value.trim_start_matches(['"', '\'']);
            let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || c == '/'));
            paths.push(&value[..end.unwrap_or(value.len())]);
        }
    }
    paths
}
