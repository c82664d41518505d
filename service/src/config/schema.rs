//! Every setting there is, for programs: what `orderly config --schema` prints.
//!
//! Manifests, units and documents name settings, and nothing tells who renames one that they did. With this list a
//! test can compare both: `service/tests/consistency`. It is made from the same lines that declare the settings.

use serde::Serialize;
use serde_json::Value;

use super::keys::leaves;
use super::setting_type::{SettingKind, choices};
use super::{Environment, Settings, variable_name};

/// One setting, as `orderly config --schema` shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SettingSchema {
    variable: String,
    /// For a secret, the variable that names a file to read it from.
    file_variable: Option<String>,
    /// `section.key`
    key: String,
    kind: SettingKind,
    /// The built-in value; null when it is unset.
    default: Value,
    /// Description of the allowed values.
    allowed: String,
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
        kind: SettingKind::Choice,
        default: Settings::default().environment.to_string().into(),
        allowed: choices::<Environment>(),
        secret: false,
        doc: "Which kind of place this runs in, and so which file is read.".into(),
    };
    let settings = Settings::SECTIONS
        .iter()
        .flat_map(|(section, declarations)| {
            declarations
                .iter()
                .map(move |declaration| (section, declaration))
        });
    let settings = settings.map(|(section, declaration)| {
        let key = format!("{section}.{}", declaration.key);
        let variable = variable_name(&key);
        SettingSchema {
            file_variable: declaration.is_secret.then(|| format!("{variable}_FILE")),
            variable,
            kind: declaration.kind,
            default: default(&key),
            allowed: (declaration.expected)(),
            secret: declaration.is_secret,
            doc: declaration.doc.trim().to_owned(),
            key,
        }
    });
    std::iter::once(environment).chain(settings).collect()
}
