//! Commands: CI runs each make target that the documentation names.

use std::collections::{BTreeMap, BTreeSet};

use super::project_files::{read_files, root};

/// Where commands are recommended to readers.
const DOCUMENTATION: &[&str] = &[
    "Makefile",
    "README.md",
    "deploy",
    "docs",
    "loadtest/src",
    "observability",
    "sandbox-gateway/src",
    "scripts",
    "service/src",
    "service/tests/drills",
    "xtask/src",
];

/// The pipelines. The targets and scripts that they run count as well, and what these run.
const PIPELINES: &[&str] = &[".ci/run", ".github/workflows"];

fn is_part_of_target(c: char) -> bool {
    c.is_ascii_lowercase() || c == '-'
}

/// The target of a command.
fn target(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("make ")?;
    let end = rest.find(|c| !is_part_of_target(c));
    let target = &rest[..end.unwrap_or(rest.len())];
    (!target.is_empty()).then_some(target)
}

/// The targets with a help text.
fn listed_targets() -> BTreeSet<String> {
    let makefile = read_files(&["Makefile"]).pop().unwrap().text;
    let rules = makefile.lines().filter(|line| line.contains(" ## "));
    rules
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.chars().all(is_part_of_target))
        .collect()
}

/// Each `make TARGET` in quotes or in a block of commands, with its place.
fn documented_targets() -> BTreeMap<String, String> {
    let mut targets = BTreeMap::new();
    for page in read_files(DOCUMENTATION) {
        let mut is_in_block = false;
        for (number, line) in page.text.lines().enumerate() {
            is_in_block ^= line.starts_with("```");
            for (at, _) in line.match_indices("make ") {
                let before = &line[..at];
                let is_command = before.ends_with(['`', '\'']) || is_in_block && before.is_empty();
                if let Some(target) = target(&line[at..]).filter(|_| is_command) {
                    targets.insert(target.to_owned(), page.place(number));
                }
            }
        }
    }
    targets
}

/// The lines of a script or a workflow, without the words in front of a command.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.map(|line| {
        ["- run: ", "run: ", "step "]
            .iter()
            .find_map(|front| line.strip_prefix(front))
            .unwrap_or(line)
    })
}

/// The recipe of a target.
fn recipe(target: &str) -> Option<String> {
    let makefile = read_files(&["Makefile"]).pop().unwrap().text;
    let (_, rest) = makefile.split_once(&format!("\n{target}:"))?;
    let lines = rest
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('\t'));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// The scripts that a file or a recipe runs.
fn scripts_of(text: &str) -> Vec<String> {
    commands(text)
        .filter_map(|command| command.trim_start_matches('@').split(' ').next())
        .filter(|word| word.starts_with("scripts/") && root().join(word).is_file())
        .map(str::to_owned)
        .collect()
}

fn targets_of_pipelines() -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    let mut pending: Vec<String> = (read_files(PIPELINES).into_iter())
        .map(|page| page.text)
        .collect();
    let mut read = BTreeSet::new();
    while let Some(text) = pending.pop() {
        for target in commands(&text).filter_map(target) {
            if targets.insert(target.to_owned()) {
                pending.extend(recipe(target));
            }
        }
        for script in scripts_of(&text) {
            if read.insert(script.clone()) {
                pending.extend(read_files(&[&script]).into_iter().map(|page| page.text));
            }
        }
    }
    targets
}

#[test]
fn ci_runs_every_documented_target() {
    let listed = listed_targets();
    let documented = documented_targets();
    assert!(
        listed.contains("check") && documented.len() > 10,
        "{documented:?}"
    );
    let run = targets_of_pipelines();
    for (target, place) in &documented {
        assert!(listed.contains(target), "{place}: no target {target}");
    }
    let missing: Vec<_> = listed.difference(&run).collect();
    assert!(missing.is_empty(), "no pipeline runs make {missing:?}");
}

#[test]
fn every_documented_ops_check_exists() {
    let mut found = 0;
    for page in read_files(DOCUMENTATION) {
        for (number, line) in page.text.lines().enumerate() {
            if let Some((_, rest)) = line.split_once("make ops-check ARGS=") {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                let script = format!(
                    "scripts/ops-check.d/{}.sh",
                    &rest[..end.unwrap_or(rest.len())]
                );
                assert!(
                    root().join(&script).is_file(),
                    "{}: {script}",
                    page.place(number)
                );
                found += 1;
            }
        }
    }
    assert!(found > 1, "{found}");
}
