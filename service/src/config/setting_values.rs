//! Values of settings: defaults, conversion from text, and display in messages.

use garde::Validate;
use serde_json::Value;

use super::Settings;
use super::keys::{is_secret, leaf_mut};
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
