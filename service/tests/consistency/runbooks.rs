//! Every drill (`tests/drills`) and every alert (`observability/prometheus/rules`) has a
//! runbook (`docs/runbooks`) that names it, no runbook is without either, and what one tells
//! people to look at is there under that name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use orderly::config;

use super::cli_output::run_json;

const HEADINGS: [&str; 4] = [
    "Symptom",
    "What the service does by itself",
    "What to look at",
    "What to do",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of each file directly in a folder, by its name without the extension.
fn files(folder: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files: BTreeMap<_, _> = paths
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(!files.is_empty(), "{folder}: no file");
    files
}

fn pages() -> BTreeMap<String, String> {
    let mut pages = files("docs/runbooks");
    pages.remove("README").expect("the index");
    pages
}

/// Each drill, with the file that it is in and the lines before it.
fn drills() -> BTreeMap<String, (String, String)> {
    let mut drills = BTreeMap::new();
    for (file, text) in files("service/tests/drills") {
        let parts: Vec<&str> = text.split("#[tokio::test").collect();
        for (before, after) in parts.iter().zip(parts.iter().skip(1)) {
            let name = after.split("async fn ").nth(1).unwrap();
            let name = name.split('(').next().unwrap().to_owned();
            let comment = before.rsplit("\n\n").next().unwrap().to_owned();
            drills.insert(name, (file.clone(), comment));
        }
    }
    assert!(!drills.is_empty(), "no drill");
    drills
}

/// Each alert, with the page that its `runbook_url` leads to.
fn alerts() -> BTreeMap<String, String> {
    let rules = &files("observability/prometheus/rules")["alerts"];
    let alerts = rules.split("- alert: ").skip(1);
    let alerts: BTreeMap<_, _> = alerts
        .map(|rule| {
            let name = rule.lines().next().unwrap().to_owned();
            let url = rule.split("runbook_url: ").nth(1);
            let url = url.unwrap_or_else(|| panic!("{name} has no runbook_url"));
            let page = url.lines().next().unwrap();
            let page = page.strip_prefix("http://localhost:8088/runbooks/");
            let page = page.and_then(|page| page.strip_suffix(".md"));
            (name, page.unwrap().to_owned())
        })
        .collect();
    assert!(!alerts.is_empty(), "no alert");
    alerts
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_drill_has_runbook_that_links_back() {
    let pages = pages();
    for (name, (file, comment)) in drills() {
        let page = (pages.get(&name)).unwrap_or_else(|| panic!("docs/runbooks lacks {name}.md"));
        let reference = format!("Runbook: `docs/runbooks/{name}.md`");
        assert!(
            comment.contains(&reference),
            "the drill {name} lacks: {reference}"
        );
        let back = format!("Drill: [`{name}`](../../service/tests/drills/{file}.rs)");
        assert!(page.contains(&back), "{name}.md lacks: {back}");
        let run = format!("`make drills ARGS={name}`");
        assert!(page.contains(&run), "{name}.md lacks: {run}");
    }
}

#[test]
fn every_alert_links_to_runbook_that_names_it() {
    let (pages, alerts) = (pages(), alerts());
    for (alert, page) in &alerts {
        assert!(pages.contains_key(page), "{alert}: there is no {page}.md");
    }
    for (name, text) in pages {
        let line = text.lines().find(|line| line.starts_with("Alert"));
        let named: BTreeSet<&str> = line.map(quoted).into_iter().flatten().collect();
        let leading = alerts.iter().filter(|(_, page)| **page == name);
        let leading: BTreeSet<&str> = leading.map(|(alert, _)| alert.as_str()).collect();
        assert_eq!(named, leading, "{name}.md");
    }
}

#[test]
fn every_runbook_has_drill_or_alert() {
    let (drills, alerts) = (drills(), alerts());
    for name in pages().into_keys() {
        let has_alert = alerts.values().any(|page| *page == name);
        let has_reason = drills.contains_key(&name) || has_alert;
        assert!(has_reason, "{name}.md has no drill and no alert");
    }
}

#[test]
fn index_lists_every_runbook_and_every_link_resolves() {
    let index = &files("docs/runbooks")["README"];
    for (name, text) in pages() {
        let link = format!("| [{name}]({name}.md) |");
        assert!(index.contains(&link), "the index lacks {link}");
        for target in text.split("](").skip(1) {
            let target = target.split(')').next().unwrap();
            let path = root().join("docs/runbooks").join(target);
            assert!(path.exists(), "{name}.md: {target}");
        }
    }
}

#[test]
fn every_runbook_has_standard_headings() {
    for (name, text) in pages() {
        let headings: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        assert_eq!(headings, HEADINGS, "{name}.md");
    }
}

#[test]
fn runbooks_name_existing_metrics_settings_and_log_lines() {
    let metrics = run_json(&["metrics", "--json"]);
    let metrics: BTreeSet<&str> = (metrics.as_array().unwrap().iter())
        .map(|metric| metric["name"].as_str().unwrap())
        .collect();
    assert!(metrics.len() > 30, "{metrics:?}");

    let sections: BTreeSet<String> = config::keys()
        .iter()
        .map(|key| key.split('.').next().unwrap().to_owned())
        .collect();
    let keys: BTreeSet<String> = config::keys().into_iter().collect();
    let sources = sources(&root().join("service/src"));
    for (name, text) in pages() {
        for word in quoted(&text) {
            if word.starts_with("orderly_") {
                let metric = word.split('{').next().unwrap();
                assert!(metrics.contains(metric), "{name}.md: no metric {metric}");
            }
            if let Some((section, _)) = word.split_once('.')
                && sections.contains(section)
            {
                assert!(keys.contains(word), "{name}.md: no setting {word}");
            }
        }
        for line in text.split("log `").skip(1) {
            let message = line.split('`').next().unwrap();
            let literal = format!("\"{message}\"");
            assert!(
                sources.contains(&literal),
                "{name}.md: no log statement has the message {literal}"
            );
        }
    }
}

/// All of the service's source.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let texts = paths.map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            fs::read_to_string(path).unwrap()
        }
    });
    texts.collect()
}
