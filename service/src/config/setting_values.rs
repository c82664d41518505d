//! What a setting may hold, found out from its type and its check: both are asked with a value put in its place.

use garde::Validate;
use serde::Deserialize;
use serde_json::Value;

use super::Settings;
use super::keys::{flatten, leaf_mut};
use super::secret::REDACTED;

pub(super) fn default_value(key: &str) -> Value {
    let mut defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    leaf_mut(&mut defaults, key).cloned().unwrap_or_default()
}

/// What a setting's own check has against its value: the fix.
pub(super) fn validation_error(settings: &Settings, key: &str) -> Option<String> {
    let report = settings.validate().err()?;
    report
        .iter()
        .find(|(path, _)| path.to_string() == key)
        .map(|(_, fix)| fix.to_string())
}

/// What a number may be. Its check says so when asked about zero, unless that is in the range.
pub(super) fn allowed_range(key: &str) -> Option<String> {
    let mut tree = serde_json::to_value(Settings::default()).ok()?;
    let number = leaf_mut(&mut tree, key).filter(|leaf| leaf.is_number())?;
    *number = 0.into();
    validation_error(&Settings::deserialize(tree).ok()?, key)
}

/// What a setting may be, in words: its check or its type says so when asked about a value that none would take.
pub(super) fn describe_allowed(key: &str, kind: &str) -> Option<String> {
    let invalid_value = match kind {
        "integer" => match allowed_range(key) {
            Some(range) => return Some(strip_label(range)),
            None => "none".into(),
        },
        "number" => f64::MIN.into(),
        "duration" => "1000years".into(),
        "choice" => "none of them".into(),
        _ => return None,
    };
    let mut tree = serde_json::to_value(Settings::default()).ok()?;
    *leaf_mut(&mut tree, key)? = invalid_value;
    match Settings::deserialize(tree) {
        Ok(settings) => validation_error(&settings, key).map(strip_label),
        Err(error) => describe_expected_type(&error.to_string())
            .strip_prefix("expected ")
            .map(str::to_owned),
    }
}

fn strip_label(range: String) -> String {
    range.trim_start_matches("allowed: ").to_owned()
}

/// The environment and flags know only text: reads it as what the setting's default is. Empty text unsets a setting
/// that may be unset (`ORDERLY__REDIS__URL=`).
pub(super) fn coerce(value: Value, default: &Value) -> Value {
    match (value, default) {
        (Value::String(text), Value::Number(number)) if number.is_f64() => text
            .trim()
            .parse::<f64>()
            .map_or(Value::String(text), Value::from),
        (Value::String(text), Value::Number(_)) => text
            .trim()
            .parse::<serde_json::Number>()
            .map_or(Value::String(text), Value::from),
        (Value::String(text), Value::Bool(_)) => text
            .trim()
            .parse::<bool>()
            .map_or(Value::String(text), Value::from),
        (Value::String(text), Value::Array(_)) => (text.split(','))
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect(),
        (Value::String(text), Value::Null) if text.is_empty() => Value::Null,
        (value, _) => value,
    }
}

/// A value as a message may show it.
pub(super) fn redacted_value(key: &str, value: &Value) -> String {
    let text = value.to_string();
    // A URL with a password, put under a key that is not meant for secrets.
    let has_credentials = text.contains("://") && text.contains('@');
    if has_credentials || is_secret(key) {
        REDACTED.into()
    } else {
        text
    }
}

/// Whether a key holds a secret: its type says so, by what it serializes to.
pub(super) fn is_secret(key: &str) -> bool {
    let mut tree = serde_json::to_value(Settings::default()).unwrap_or_default();
    if let Some(leaf) = leaf_mut(&mut tree, key) {
        *leaf = "secret".into();
    }
    (Settings::deserialize(tree).ok())
        .and_then(|settings| serde_json::to_value(settings).ok())
        .is_some_and(|tree| flatten(tree).contains(&(key.to_owned(), REDACTED.into())))
}

/// The fix of a type error, from what serde says it expected.
pub(super) fn describe_expected_type(error: &str) -> String {
    let expected = error
        .rsplit_once("expected ")
        .map_or(error, |(_, expected)| expected);
    let expected = match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" | "i64" => "a whole number",
        "f64" => "a number such as 0.5",
        "a duration" => "a duration such as 500ms, 10s or 15m",
        "invalid IP address syntax" | "IP address" => {
            "an IP address such as 127.0.0.1, 0.0.0.0 or ::"
        }
        other => other,
    };
    format!("expected {expected}")
}
