//! The glossary: one line per term, in alphabetical order, with links that lead to files.

use super::project_files::{read_files, root};

const PAGE: &str = "docs/glossary.md";

/// The cells of each line of the table, without its heading.
fn lines() -> Vec<Vec<String>> {
    let page = read_files(&[PAGE]).pop().unwrap();
    let table = page.text.lines().filter(|line| line.starts_with("| "));
    let lines = table.skip(1);
    lines
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn glossary_terms_are_unique_and_sorted() {
    let key = |line: &Vec<String>| line[1].trim_matches('`').to_lowercase();
    let terms: Vec<String> = lines().iter().map(key).collect();
    assert!(terms.len() > 20, "{terms:?}");
    let mut sorted = terms.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(terms, sorted);
}

#[test]
fn glossary_terms_have_meaning_and_existing_file() {
    for line in lines() {
        assert!(line[2].ends_with('.'), "{}: {}", line[1], line[2]);
        let targets: Vec<&str> = line[4].split("](").skip(1).collect();
        assert!(!targets.is_empty(), "{} names no file", line[1]);
        for target in targets {
            let path = root().join("docs").join(target.trim_end_matches(')'));
            assert!(path.exists(), "{}: {target}", line[1]);
        }
    }
}
