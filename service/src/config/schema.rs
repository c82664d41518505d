//! Every setting there is, for programs: what `orderly config --schema` prints.
//!
//! Manifests, units and documents name settings, and nothing tells who renames one that they did. With this list a
//! test can compare both: `service/tests/consistency`. It is made from the same lines that declare the settings, and
//! what a setting may be is asked of its own check.

use serde::Serialize;
use serde_json::Value;

use super::keys::leaves;
use super::section::SettingDeclaration;
use super::setting_values::{describe_allowed, is_secret};
use super::{Settings, variable_name};

/// One setting, as `orderly config --schema` shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SettingSchema {
    variable: String,
    /// For a secret, the variable that names a file to read it from.
    file_variable: Option<String>,
    /// `section.key`
    key: String,
    /// integer, number, boolean, duration, text, list, path, address, choice
    kind: &'static str,
    /// The built-in value; null when it is unset.
    default: Value,
    /// What it may be, in words, where that is more than its kind.
    allowed: Option<String>,
    secret: bool,
    doc: String,
}

/// Every setting, in the order of the code; first the environment, which chooses among the files.
pub(crate) fn schema() -> Vec<SettingSchema> {
    let defaults = leaves(&Settings::default());
    let default = |key: &str| {
        let known = defaults.iter().find(|(known, _)| known == key);
        known.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let environment = SettingSchema {
        variable: "ORDERLY_ENV".into(),
        file_variable: None,
        key: "environment".into(),
        kind: "choice",
        default: Settings::default().environment.to_string().into(),
        allowed: Some("development, test or production".into()),
        secret: false,
        doc: "Which kind of place this runs in, and so which file is read.".into(),
    };
    let settings = Settings::SECTIONS.iter().flat_map(|(section, settings)| {
        let describe = move |declaration: &SettingDeclaration| {
            let key = format!("{section}.{}", declaration.key);
            (key, declaration.rust_type, declaration.doc)
        };
        settings.iter().map(describe)
    });
    let settings = settings.map(|(key, rust_type, doc)| {
        let secret = is_secret(&key);
        SettingSchema {
            file_variable: secret.then(|| format!("{}_FILE", variable_name(&key))),
            variable: variable_name(&key),
            kind: kind(rust_type),
            default: default(&key),
            allowed: describe_allowed(&key, kind(rust_type)),
            secret,
            doc: doc.trim().to_owned(),
            key,
        }
    });
    std::iter::once(environment).chain(settings).collect()
}

fn kind(rust_type: &str) -> &'static str {
    match rust_type {
        "u16" | "u32" | "u64" | "usize" | "i64" => "integer",
        "f64" => "number",
        "bool" => "boolean",
        "Duration" => "duration",
        "String" | "Option<Secret>" => "text",
        "PathBuf" | "Option<PathBuf>" => "path",
        "IpAddr" => "address",
        list if list.starts_with("Vec<") => "list",
        _ => "choice",
    }
}
