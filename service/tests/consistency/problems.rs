//! `docs/problems.md` explains every problem that the service has, as it has it,
//! and none that it has not.

use orderly::domain::validation::ValidationCode;
use orderly::http::problem::{ProblemKind, TYPE_BASE};

const PAGE: &str = include_str!("../../../docs/problems.md");
const FIELD_ERRORS: &str = "Field errors";

/// The sections of the page: heading and text.
fn sections() -> Vec<(&'static str, &'static str)> {
    PAGE.split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').expect("a heading ends its line"))
        .collect()
}

#[test]
fn problems_match_sections() {
    let headings: Vec<String> = sections()
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let mut expected: Vec<String> = ProblemKind::ALL
        .iter()
        .map(|kind| format!("`{}`", kind.slug()))
        .collect();
    expected.push(FIELD_ERRORS.to_owned());
    assert_eq!(headings, expected);
}

#[test]
fn sections_state_type_status_title_cause_and_fix() {
    for (kind, (_, text)) in ProblemKind::ALL.iter().zip(sections()) {
        let status = kind.status();
        let facts = format!(
            "\n- Type: `{TYPE_BASE}{}`\n- Status: {} {}\n- Title: {}\n\n",
            kind.slug(),
            status.as_u16(),
            status.canonical_reason().expect("a standard status"),
            kind.title(),
        );
        let rest = text.strip_prefix(&facts);
        let rest = rest.unwrap_or_else(|| panic!("expected {facts} but there is {text}"));
        let (when, fix) = rest
            .split_once("\n\n**What to do:** ")
            .unwrap_or_else(|| panic!("{} lacks what to do", kind.slug()));
        assert!(!when.trim().is_empty() && !fix.trim().is_empty(), "{rest}");
    }
}

/// The page says it in short at its top, and for each problem in its section.
#[test]
fn summary_lists_retryable_problems() {
    let (_, summary) = PAGE
        .split_once("What to do, in short")
        .expect("what to do, in short");
    let summary = summary.split("\n## ").next().unwrap_or_default();
    for (kind, (_, text)) in ProblemKind::ALL.iter().zip(sections()) {
        let fix = text.split("**What to do:** ").nth(1).unwrap_or_default();
        let retry_phrases = ["Send it again", "Send the same request again"];
        let is_retryable = retry_phrases
            .iter()
            .any(|retry_phrases| fix.starts_with(retry_phrases));
        let named = summary.contains(&format!("`{}`", kind.slug()));
        assert_eq!(named, is_retryable, "{}", kind.slug());
    }
}

#[test]
fn table_lists_exactly_field_error_codes() {
    let (_, text) = sections()
        .into_iter()
        .find(|(name, _)| *name == FIELD_ERRORS)
        .expect("the section of the field errors");
    let listed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let codes: Vec<&str> = ValidationCode::ALL
        .iter()
        .map(|code| code.as_str())
        .collect();
    assert_eq!(listed, codes);
}
