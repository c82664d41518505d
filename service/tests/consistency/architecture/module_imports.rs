//! Reads Rust as text: not a compiler, but enough to find which module names which.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The top-level modules that the text of the module at `place` names.
pub(crate) fn named_modules(module_path: &str, text: &str) -> BTreeSet<String> {
    let tokens = tokens(text);
    let depth = module_path.split('/').count();
    let mut named = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let mut climbed = 0;
        while tokens[at..].starts_with(&["super", "::"]) {
            climbed += 1;
            at += 2;
        }
        if tokens[at..].starts_with(&["crate", "::"]) {
            climbed = depth;
            at += 2;
        }
        if climbed >= depth {
            named.extend(first_names(&tokens[at..]));
        }
        at += 1;
    }
    named
}

/// What follows a path's `::`: one name, or the first names of a group `{a::b, c}`.
fn first_names(tokens: &[&str]) -> Vec<String> {
    if tokens.first() != Some(&"{") {
        return tokens
            .first()
            .map(ToString::to_string)
            .into_iter()
            .collect();
    }
    let mut depth = 0;
    let mut heads = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0] {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0], "{" | ",") && pair[1] != "}" {
            heads.push(pair[1].to_owned());
        }
    }
    heads
}

/// Names, `::`, and everything else sign by sign.
pub(crate) fn tokens(text: &str) -> Vec<&str> {
    let is_name = |sign: char| sign.is_alphanumeric() || sign == '_';
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_name(first) {
            rest.find(|sign| !is_name(sign)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// Does a path (`Utc::now`) occur?
pub(crate) fn contains_path(text: &[&str], path: &str) -> bool {
    let path = tokens(path);
    text.windows(path.len()).any(|window| window == path)
}

/// Cuts each `#[cfg(test)]` at the margin with the item that follows it.
pub(crate) fn without_tests(text: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            // The end of the item: a `}` at the margin, or a `;`.
            lines.find(|line| {
                line.starts_with('}') || line.ends_with(';') && !line.starts_with(' ')
            });
        } else {
            kept.push(line);
        }
    }
    kept.join("\n")
}

pub(crate) fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| match line.trim_start().starts_with("//") {
            true => "",
            false => line.split(" // ").next().unwrap_or_default(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every file of `src` but the list of modules, as its path below it and its text.
pub(crate) fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false => found.push(path),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let below = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
    paths
        .iter()
        .filter(|path| !path.ends_with("lib.rs"))
        .map(|path| (below(path), fs::read_to_string(path).unwrap()))
        .collect()
}
