//! Readers of one source of settings: a TOML file, a file with a secret, a `.env` file.

use std::path::Path;

use serde_json::{Map, Value};

use super::dotenv;
use super::text_form::SAVE_WITHOUT_MARK;

/// What is wrong with a file, and the fix.
#[derive(Debug)]
pub(super) struct FileFault {
    pub(super) message: String,
    pub(super) fix: String,
}

impl FileFault {
    fn new(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            fix: fix.into(),
        }
    }
}

fn read_text(path: &Path) -> Result<String, FileFault> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| FileFault::new("cannot be read", error.to_string()))?;
    match text.starts_with('\u{feff}') {
        true => Err(FileFault::new(
            "begins with a byte order mark",
            SAVE_WITHOUT_MARK,
        )),
        false => Ok(text),
    }
}

/// Returns the text of a file, `None` if there is no such file.
fn read_optional_text(path: &Path) -> Result<Option<String>, FileFault> {
    // Missing is fine, out of reach is not.
    match path.try_exists() {
        Ok(false) => Ok(None),
        _ => read_text(path).map(Some),
    }
}

/// Returns the tree of a TOML file, `None` if there is no such file.
pub(super) fn read_toml(path: &Path) -> Result<Option<Value>, FileFault> {
    let Some(text) = read_optional_text(path)? else {
        return Ok(None);
    };
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        // Its `Display` quotes the line, and the line may hold a secret.
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let fix = format!("TOML parse error at line {line}: {}", error.message());
        FileFault::new("cannot be read", fix)
    })?;
    to_json(toml::Value::Table(table)).map(Some)
}

/// Converts what JSON can express. No setting is a date, a number without a value or a name with a dot.
fn to_json(value: toml::Value) -> Result<Value, FileFault> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(boolean) => boolean.into(),
        toml::Value::Float(number) if number.is_finite() => number.into(),
        toml::Value::Float(number) => number.to_string().into(),
        toml::Value::Datetime(_) => {
            let fix = "put quotes around the date: no setting has this type";
            return Err(FileFault::new("has a date", fix));
        }
        toml::Value::Array(list) => {
            let list: Result<Vec<Value>, FileFault> = list.into_iter().map(to_json).collect();
            list?.into()
        }
        toml::Value::Table(table) => {
            let mut members = Map::new();
            for (name, value) in table {
                // "http.port" in quotes would be a second spelling of the key.
                let name = match name.contains('.') {
                    true => format!("{name:?}"),
                    false => name,
                };
                members.insert(name, to_json(value)?);
            }
            members.into()
        }
    })
}

/// Returns the text of a file without one line break at its end, which editors and `echo` write.
pub(super) fn read_secret(path: &Path) -> Result<String, FileFault> {
    let text = read_text(path)?;
    let line = text.strip_suffix('\n');
    let secret = line.map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    match secret.is_empty() {
        true => Err(FileFault::new(
            "is empty",
            "write the secret into it, or unset this one",
        )),
        false => Ok(secret.to_owned()),
    }
}

/// Returns the variables of a `.env` file, and what is wrong with its other lines.
pub(super) fn read_dotenv(path: &Path) -> (Vec<(String, String)>, Vec<FileFault>) {
    match read_optional_text(path) {
        Ok(text) => {
            let (variables, faults) = dotenv::parse(text.as_deref().unwrap_or_default());
            let faults = faults.into_iter().map(|fault| {
                let message = format!("line {} {}", fault.line, fault.message);
                FileFault::new(message, fault.fix)
            });
            (variables, faults.collect())
        }
        Err(fault) => (Vec::new(), vec![fault]),
    }
}
