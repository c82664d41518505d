//! Values of settings: defaults, conversion from text, and display in messages.

use std::time::Duration;

use garde::Validate;
use serde_json::{Number, Value};

use super::Settings;
use super::keys::{is_secret, leaf_mut};
use super::secret::REDACTED;
use super::setting_type::SettingKind;

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
/// that may be unset (`ORDERLY__REDIS__URL=`). A text that is not in the type's one notation stays a text.
pub(super) fn coerce(value: Value, default: &Value) -> Value {
    let Value::String(text) = value else {
        return value;
    };
    let parsed = match default {
        Value::Number(number) if number.is_f64() => parse_number(&text).map(Value::from),
        // A number that was rounded, or written as 1e3, is another text than the one given.
        Value::Number(_) => parse_number(&text)
            .filter(|number| !number.is_f64() && number.to_string() == text)
            .map(Value::from),
        Value::Bool(_) => text.parse::<bool>().ok().map(Value::from),
        Value::Array(_) => parse_list(&text),
        Value::Null if text.is_empty() => Some(Value::Null),
        _ => None,
    };
    parsed.unwrap_or(Value::String(text))
}

/// Parses a number as JSON has it (RFC 8259, section 6): no `+`, no leading zero, no `nan`.
fn parse_number(text: &str) -> Option<Number> {
    text.parse().ok()
}

/// Parses texts that are separated by commas, with optional blanks around each; none of them is empty.
fn parse_list(text: &str) -> Option<Value> {
    if text.is_empty() {
        return Some(Value::Array(Vec::new()));
    }
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_complete = items.iter().all(|item| !item.is_empty());
    is_complete.then(|| items.into_iter().collect())
}

/// Returns `false` for a duration that would be read as another one: `1 0s` as ten seconds, or `1500us` as one
/// millisecond where milliseconds are the unit.
pub(super) fn is_exact(value: &Value, kind: SettingKind) -> bool {
    let (SettingKind::Duration, Value::String(text)) = (kind, value) else {
        return true;
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let has_split_number = words.windows(2).any(|pair| {
        pair[0].ends_with(|c: char| c.is_ascii_digit() || c == '.')
            && pair[1].starts_with(|c: char| c.is_ascii_digit() || c == '.')
    });
    let is_whole = |duration: Duration| duration.subsec_nanos().is_multiple_of(1_000_000);
    !has_split_number && humantime::parse_duration(text).is_ok_and(is_whole)
}

/// A value as a message may show it.
pub(super) fn redacted_value(key: &str, value: &Value) -> String {
    let text = value.to_string();
    // A URL with a password or a key, put under a key that is not meant for secrets.
    let has_credentials = text.contains("://") && text.contains(['@', '?', '#']);
    if has_credentials || is_secret(key) {
        REDACTED.into()
    } else {
        text
    }
}
