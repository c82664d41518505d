//! Puts the layers on top of each other and judges every value.
//!
//! Values are applied one at a time to settings that are known to be good. One that is unknown, of the wrong type or
//! out of range is noted and left out, so that the next one is judged on its own: this is what lets one start report
//! every mistake. Rules between settings come last, and only among those whose own values are good.

use std::collections::BTreeMap;

use garde::Validate;
use serde::Deserialize;
use serde_json::Value;

use super::closest_match::closest_match;
use super::cross_field::{Conflict, conflicts};
use super::error::ConfigProblem;
use super::layers::{LayerValue, flatten};
use super::timeout_constraints::{TimeoutConstraint, required_constraints};
use super::{Environment, Origin, REDACTED, Settings, keys};

/// Settings that hold so far, where they came from, and what was wrong with the others.
pub(super) struct Merge {
    pub(super) settings: Settings,
    pub(super) origins: BTreeMap<String, Origin>,
    pub(super) problems: Vec<ConfigProblem>,
    tree: Value,
}

impl Merge {
    /// Starts from the built-in defaults.
    pub(super) fn new(environment: Environment, problems: Vec<ConfigProblem>) -> Self {
        let settings = Settings {
            environment,
            ..Settings::default()
        };
        let tree = serde_json::to_value(&settings).unwrap_or_default();
        Self {
            settings,
            origins: BTreeMap::new(),
            problems,
            tree,
        }
    }

    /// Puts one value on top.
    pub(super) fn apply(&mut self, layer_value: LayerValue) {
        let LayerValue { key, value, origin } = layer_value;
        if is_empty_section(&key, &value) {
            return;
        }
        match self.with_value(&key, value, &origin) {
            Ok((tree, settings)) => {
                self.tree = tree;
                self.settings = Settings {
                    environment: self.settings.environment,
                    ..settings
                };
                self.origins.insert(key, origin);
            }
            Err((message, fix)) => {
                let location = origin.location(&key);
                self.problems
                    .push(ConfigProblem::new(&key, location, message, fix));
            }
        }
    }

    /// The settings with one value more, or what is wrong with it and the cure.
    fn with_value(
        &self,
        key: &str,
        value: Value,
        origin: &Origin,
    ) -> Result<(Value, Settings), (String, String)> {
        let mut tree = self.tree.clone();
        let Some(leaf) = leaf_mut(&mut tree, key) else {
            return Err(("is not a setting".into(), suggest_setting(key, origin)));
        };
        let value = coerce(value, &default_value(key));
        let message = format!("is {}", display_value(key, &value));
        *leaf = value;
        let settings = match Settings::deserialize(&tree) {
            Ok(settings) => settings,
            Err(error) => {
                let expected = describe_expected_type(&error.to_string());
                let fix = match allowed_range(key) {
                    Some(range) => format!("{expected}; {range}"),
                    None => expected,
                };
                return Err((message, fix));
            }
        };
        match validation_error(&settings, key) {
            Some(cure) => Err((message, cure)),
            None => Ok((tree, settings)),
        }
    }

    /// Judges the settings against each other.
    pub(super) fn validate_constraints(&mut self) {
        for constraint in required_constraints(&self.settings) {
            let mut durations = constraint.inner.iter().chain([&constraint.outer]);
            if !constraint.is_satisfied() && !durations.any(|(key, _)| self.has_problem(key)) {
                self.report_violation(&constraint);
            }
        }
        let conflicts: Vec<Conflict> = conflicts(&self.settings).collect();
        for conflict in conflicts {
            if !self.has_problem(conflict.key) && !self.has_problem(conflict.other_key) {
                let location = self.origin(conflict.key).location(conflict.key);
                self.problems.push(ConfigProblem::new(
                    conflict.key,
                    location,
                    conflict.message,
                    conflict.fix,
                ));
            }
        }
    }

    fn report_violation(&mut self, constraint: &TimeoutConstraint) {
        let durations: Vec<_> = constraint.inner.iter().chain([&constraint.outer]).collect();
        // Name the one that somebody set: that is where to look.
        let reported_key = (durations.iter())
            .find(|(key, _)| self.origins.contains_key(*key))
            .map_or(constraint.outer.0, |(key, _)| key);
        let location = self.origin(reported_key).location(reported_key);
        let descriptions: Vec<String> = (durations.iter())
            .map(|(key, value)| format!("{key} = {value:?} ({})", self.origin(key)))
            .collect();
        let message = format!("does not fit: {}", descriptions.join(", "));
        self.problems.push(ConfigProblem::new(
            reported_key,
            location,
            message,
            constraint.to_string(),
        ));
    }

    fn has_problem(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key == key)
    }

    fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }
}

fn leaf_mut<'a>(tree: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let (section, name) = key.split_once('.')?;
    tree.get_mut(section)?.get_mut(name)
}

fn default_value(key: &str) -> Value {
    let mut defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    leaf_mut(&mut defaults, key).cloned().unwrap_or_default()
}

/// What a setting's own check has against its value: the cure.
fn validation_error(settings: &Settings, key: &str) -> Option<String> {
    let report = settings.validate().err()?;
    report
        .iter()
        .find(|(path, _)| path.to_string() == key)
        .map(|(_, cure)| cure.to_string())
}

/// What a number may be. Its check says so when asked about zero, which no range contains.
fn allowed_range(key: &str) -> Option<String> {
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

/// `[http]` with every key commented out.
fn is_empty_section(key: &str, value: &Value) -> bool {
    value.as_object().is_some_and(|table| table.is_empty())
        && keys().iter().any(|known| {
            known
                .split_once('.')
                .is_some_and(|(section, _)| section == key)
        })
}

/// The environment and flags know only text: reads it as what the setting's default is. Empty text unsets a setting
/// that may be unset (`ORDERLY__REDIS__URL=`).
fn coerce(value: Value, default: &Value) -> Value {
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
fn display_value(key: &str, value: &Value) -> String {
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

/// The cure of a type error, from what serde says it expected.
fn describe_expected_type(error: &str) -> String {
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

fn suggest_setting(key: &str, origin: &Origin) -> String {
    match closest_match(key, &keys()) {
        Some(known) => format!("did you mean {}?", origin.format_key(known)),
        None => "`orderly config` lists every setting; remove this one".into(),
    }
}
