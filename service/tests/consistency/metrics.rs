//! Metrics.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cli_output::run_json;
use super::project_files::{DEPLOYMENT_PATHS, find_words};

#[test]
fn every_metric_is_registered() {
    let may_be = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    // Names of containers and the like have other characters, or are not of this kind.
    let is_metric = |word: &str| word.matches('_').count() > 1;
    let known = series(&run_json(&["metrics", "--json"]));
    for prefix in ["orderly_", "process_"] {
        let mut named = find_words(DEPLOYMENT_PATHS, prefix, may_be);
        named.retain(|(word, _)| is_metric(word));
        assert!(!named.is_empty(), "no metric found with prefix {prefix}");
        let unknown: Vec<_> = (named.iter().filter(|(word, _)| !known.contains(word))).collect();
        assert!(unknown.is_empty(), "no metric: {unknown:#?}");
    }
}

/// The names under which Prometheus stores the metrics.
fn series(metrics: &Value) -> BTreeSet<String> {
    let names = metrics.as_array().unwrap().iter().flat_map(|metric| {
        let name = metric["name"].as_str().unwrap();
        let suffixes: &[&str] = match metric["type"].as_str() {
            Some("histogram") => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
    });
    names.collect()
}
