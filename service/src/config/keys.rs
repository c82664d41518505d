//! Keys of settings, `section.key`, and the environment variables that set them.

use serde_json::Value;

use super::Settings;
use super::section::SettingDeclaration;

/// Every key there is, as `section.key`.
pub fn keys() -> Vec<String> {
    leaves(&Settings::default())
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

/// Returns the declaration of the setting with this key.
pub(super) fn declaration(key: &str) -> Option<&'static SettingDeclaration> {
    let (section, name) = key.split_once('.')?;
    let (_, declarations) = Settings::SECTIONS
        .iter()
        .find(|(known, _)| *known == section)?;
    declarations
        .iter()
        .find(|declaration| declaration.key == name)
}

/// Whether a key holds a secret.
pub(super) fn is_secret(key: &str) -> bool {
    declaration(key).is_some_and(|declaration| declaration.is_secret)
}

/// The environment variable that sets a key: `http.port` is `ORDERLY__HTTP__PORT`.
pub fn variable_name(key: &str) -> String {
    format!("ORDERLY__{}", key.to_uppercase().replace('.', "__"))
}

/// Every setting with its value, secrets masked.
pub(super) fn leaves(settings: &Settings) -> Vec<(String, Value)> {
    // Plain structs of plain values: there is nothing in them that JSON cannot say.
    flatten(serde_json::to_value(settings).unwrap_or_default())
}

/// The leaves of a tree, as `section.key` and value. A table without entries counts as a leaf.
pub(super) fn flatten(tree: Value) -> Vec<(String, Value)> {
    match tree {
        Value::Object(table) if !table.is_empty() => (table.into_iter())
            .flat_map(|(name, value)| {
                flatten(value)
                    .into_iter()
                    .map(move |(rest, leaf)| match rest.is_empty() {
                        true => (name.clone(), leaf),
                        false => (format!("{name}.{rest}"), leaf),
                    })
            })
            .collect(),
        leaf => vec![(String::new(), leaf)],
    }
}

/// The value at `section.key`.
pub(super) fn leaf_mut<'a>(tree: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let (section, name) = key.split_once('.')?;
    tree.get_mut(section)?.get_mut(name)
}
