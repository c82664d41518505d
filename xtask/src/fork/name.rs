//! The name of a project, in the ways it is written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

/// The name of this project as part of a sentence.
pub(super) const TITLE: &str = "Orderly";
/// In crates, binaries, metrics, the database, images and paths.
const LOWER: &str = "orderly";
/// In environment variables.
const UPPER: &str = "ORDERLY";

/// The name becomes a crate and, without quotes, a database: keywords of Rust (Reference,
/// "Keywords", with the names of its libraries) and reserved words of Postgres (SQL Key Words).
const KEYWORDS: &str = "\
    abstract alloc as async await become box break const continue core crate do dyn else enum \
    extern false final fn for gen if impl in let loop macro match mod move mut override priv proc \
    pub ref return self static std struct super test trait true try type typeof union unsafe \
    unsized use virtual where while yield \
    all analyse analyze and any array asc asymmetric authorization binary both case cast check \
    collate collation column concurrently constraint create cross default deferrable desc distinct \
    end except fetch foreign freeze from full grant group having ilike initially inner intersect \
    into is isnull join lateral leading left like limit localtime localtimestamp natural not \
    notnull null offset on only or order outer overlaps placing primary references returning right \
    select session similar some symmetric table tablesample then to trailing unique user using \
    variadic verbose when window with";

/// A valid name for a copy: one word of lower-case letters and digits.
pub struct ProjectName(String);

impl ProjectName {
    /// Validates a name for a copy of the files at `root`.
    ///
    /// # Errors
    /// Returns an error if the name is not one word of 2 to 20 lower-case letters and digits, or
    /// is taken by a library, a module or a keyword.
    pub fn parse(name: &str, root: &Path, files: &[PathBuf]) -> anyhow::Result<Self> {
        let is_word = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && (2..=20).contains(&name.len());
        ensure!(
            is_word,
            "NAME={name} must be one word of 2 to 20 lower-case letters and digits, such as \
             invoices: it becomes a crate, a database, a metric prefix and a host name"
        );
        ensure!(
            !name.contains(LOWER),
            "NAME={name} contains the name of this project"
        );
        if taken_names(root, files).contains(name) || KEYWORDS.split(' ').any(|word| word == name) {
            bail!(
                "NAME={name} is the name of a library, a module or a keyword: the copy would not \
                 compile; choose another"
            );
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as part of a sentence.
    #[must_use]
    pub fn title(&self) -> String {
        let (first, rest) = self.0.split_at(1);
        format!("{}{rest}", first.to_uppercase())
    }

    /// Replaces the name of this project in a text or a path.
    #[must_use]
    pub fn replace_in(&self, text: &str) -> String {
        text.replace(LOWER, &self.0)
            .replace(TITLE, &self.title())
            .replace(UPPER, &self.0.to_uppercase())
    }
}

/// Names of libraries, and of files and folders: a module is named after its file.
fn taken_names(root: &Path, files: &[PathBuf]) -> BTreeSet<String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let libraries = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .map(str::to_owned);
    let modules = files
        .iter()
        .flat_map(|file| file.ancestors())
        .filter_map(|path| path.file_stem()?.to_str())
        .map(str::to_owned);
    libraries.chain(modules).collect()
}
