//! Readers of one source of settings: a TOML file, a file with a secret, a `.env` file.

use std::io;
use std::path::Path;

use config::{FileFormat, Source};
use serde::Deserialize;
use serde_json::Value;

/// The tree of a TOML file, `None` if there is no such file; or why it can't be read.
pub(super) fn read_toml(path: &Path) -> Result<Option<Value>, String> {
    // Missing is fine, out of reach is not.
    if let Ok(false) = path.try_exists() {
        return Ok(None);
    }
    let tree = config::File::from(path).format(FileFormat::Toml).collect();
    tree.and_then(|tree| Value::deserialize(config::Value::from(tree)))
        .map(Some)
        .map_err(|error| match error {
            config::ConfigError::FileParse { cause, .. } => strip_excerpt(&cause.to_string()),
            other => other.to_string(),
        })
}

/// The text of a file without the newline at its end: editors and `echo` write one, and no secret of ours ends with
/// one, but a PEM.
pub(super) fn read_secret(path: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What is wrong with a `.env` file, and the fix.
pub(super) struct DotenvProblem {
    pub(super) message: String,
    pub(super) fix: String,
}

/// The variables of a `.env` file up to the first line that can't be read, and what is wrong with that line.
pub(super) fn read_dotenv(path: &Path) -> (Vec<(String, String)>, Option<DotenvProblem>) {
    let lines = match dotenvy::from_path_iter(path) {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return (Vec::new(), None),
        Err(error) => {
            let problem = DotenvProblem {
                message: "cannot be read".to_owned(),
                fix: error.to_string(),
            };
            return (Vec::new(), Some(problem));
        }
    };
    let mut variables: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line {
            Ok(variable) => variables.push(variable),
            // The error quotes the line, and the line may hold a secret.
            Err(_) => {
                let message = match variables.last() {
                    Some((name, _)) => format!("cannot be read after {name}"),
                    None => "cannot be read at its first line".into(),
                };
                let fix = "expected NAME=value, with single quotes around a value that has spaces, # or $";
                let fix = fix.to_owned();
                return (variables, Some(DotenvProblem { message, fix }));
            }
        }
    }
    (variables, None)
}

/// A TOML error without its excerpt of the file (`3 | url = "postgres://…`), which may show a secret.
fn strip_excerpt(error: &str) -> String {
    let is_excerpt = |line: &&str| {
        line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')
            .starts_with('|')
    };
    error
        .lines()
        .filter(|line| !is_excerpt(line))
        .collect::<Vec<_>>()
        .join(": ")
}
