//! The project's own text files.

use std::fs;
use std::path::{Path, PathBuf};

/// Where variables are named.
pub const TEXTS: &[&str] = &[
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
    "xtask/src",
];

/// Where the program is run and watched.
pub const DEPLOYMENT_PATHS: &[&str] = &["deploy", "docker-compose.yml", "observability"];

/// A file with its text.
pub struct ProjectFile {
    /// From the project's top folder.
    pub path: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All text files in these places, which are files or folders. A place without one was moved: a
/// check that reads nothing would pass.
pub fn read_files(places: &[&str]) -> Vec<ProjectFile> {
    let mut found = Vec::new();
    for place in places {
        let before = found.len();
        collect(&root().join(place), &mut found);
        assert!(found.len() > before, "{place}: no text file");
    }
    found
}

/// The words of all these places that begin so, each with its place.
pub fn find_words(
    places: &[&str],
    beginning: &str,
    may_be: fn(char) -> bool,
) -> Vec<(String, String)> {
    let pages = read_files(places);
    let words = pages.iter().flat_map(|page| page.words(beginning, may_be));
    words.collect()
}

/// The numbers right after these words, and after each of them those that a space parts from it: `EXPOSE 8080 8081`.
pub fn numbers_after(text: &str, words: &str) -> Vec<String> {
    let is_number =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let pieces = text.split(words).skip(1);
    pieces
        .flat_map(|piece| {
            let line = piece.lines().next().unwrap_or_default();
            let numbers = line.split(|c: char| !c.is_ascii_digit() && c != ' ').next();
            numbers.unwrap_or_default().split(' ').take_while(is_number)
        })
        .map(str::to_owned)
        .collect()
}

fn collect(path: &Path, found: &mut Vec<ProjectFile>) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for entry in entries {
            collect(&entry, found);
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        let path = path.strip_prefix(root()).unwrap().display().to_string();
        found.push(ProjectFile { path, text });
    }
}

impl ProjectFile {
    /// The words that begin so and go on with what `may_be` allows, each with its place.
    pub fn words(&self, beginning: &str, may_be: fn(char) -> bool) -> Vec<(String, String)> {
        let mut words = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            for (at, _) in line.match_indices(beginning) {
                let is_part = line[..at].chars().next_back().is_some_and(may_be);
                if !is_part {
                    let end = line[at..].find(|c| !may_be(c));
                    let word = &line[at..end.map_or(line.len(), |end| at + end)];
                    words.push((word.to_owned(), self.place(number)));
                }
            }
        }
        words
    }

    /// A line, for a message.
    pub fn place(&self, number: usize) -> String {
        format!("{}:{}", self.path, number + 1)
    }
}
