//! The series of a scrape, and the selectors of rules and dashboards that are to find them.

use std::collections::{BTreeMap, BTreeSet};

/// A name with its labels: a series, without its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// Reads the series of the text that `/metrics` returns.
pub fn parse_scrape(text: &str) -> BTreeSet<Series> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, _value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = parse_matchers(labels).into_iter();
            Series {
                name: name.to_owned(),
                labels: labels.map(|(label, _, value)| (label, value)).collect(),
            }
        })
        .collect()
}

/// A name with its matchers, each a label, an operator and a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub name: String,
    matchers: Vec<(String, String, String)>,
}

impl Selector {
    /// Finds the selectors in `text` whose metric has this prefix.
    pub fn find_all(text: &str, prefix: &str) -> BTreeSet<Self> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        let starts = text.match_indices(prefix).map(|(at, _)| at);
        starts
            .filter(|at| !text[..*at].ends_with(is_word))
            .map(|at| {
                let text = &text[at..];
                let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
                let matchers = text[end..].strip_prefix('{').unwrap_or_default();
                Self {
                    name: text[..end].to_owned(),
                    matchers: parse_matchers(matchers),
                }
            })
            .collect()
    }

    /// Returns `true` if the series has the name and the labels that the selector asks for. Labels
    /// that Prometheus adds to each series of a target are not compared.
    pub fn matches(&self, series: &Series) -> bool {
        let matches = |(label, operator, value): &(String, String, String)| {
            let actual = series.labels.get(label).map_or("", String::as_str);
            match operator.as_str() {
                "=" => actual == value,
                "!=" => actual != value,
                "=~" => matches_pattern(actual, value),
                "!~" => !matches_pattern(actual, value),
                other => panic!("the operator {other} of {self:?}"),
            }
        };
        let matchers = &mut self.matchers.iter();
        series.name == self.name
            && matchers
                .filter(|(label, ..)| !matches!(label.as_str(), "job" | "instance"))
                .all(matches)
    }
}

/// Reads `a="b",c=~"d"} ...` up to the brace, and nothing from a text without a matcher.
fn parse_matchers(mut text: &str) -> Vec<(String, String, String)> {
    let mut matchers = Vec::new();
    while let Some((before, rest)) = text.split_once('"') {
        if before.contains('}') {
            break;
        }
        let (value, rest) = rest.split_once('"').unwrap();
        let before = before.trim_start_matches(',').trim();
        let label = before.trim_end_matches(['=', '~', '!']);
        let operator = &before[label.len()..];
        matchers.push((label.to_owned(), operator.to_owned(), value.to_owned()));
        text = rest;
    }
    matchers
}

/// The regular expressions of rules and dashboards: alternatives of characters, `.`, `[45]` and a
/// last `.*`.
fn matches_pattern(text: &str, pattern: &str) -> bool {
    let mut alternatives = pattern.split('|');
    alternatives.any(|alternative| matches_alternative(text, alternative))
}

fn matches_alternative(text: &str, pattern: &str) -> bool {
    if pattern == ".*" {
        return true;
    }
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return pattern.is_empty();
    };
    if let Some((class, pattern)) = (pattern.strip_prefix('[')).and_then(|it| it.split_once(']')) {
        return class.contains(first) && matches_alternative(characters.as_str(), pattern);
    }
    let mut expected = pattern.chars();
    (expected.next()).is_some_and(|it| it == '.' || it == first)
        && matches_alternative(characters.as_str(), expected.as_str())
}
