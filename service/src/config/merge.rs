//! Puts the layers on top of each other and validates every value.
//!
//! Values are applied one at a time to settings that are known to be good. One that is unknown, of the wrong type or
//! out of range is reported and left out, so that the next one is validated on its own: this is what lets one start report
//! every mistake. Constraints between settings come last, and only among those whose own values are good.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::closest_match::closest_match;
use super::cross_field::{Conflict, conflicts};
use super::error::ConfigProblem;
use super::keys::{declaration, keys, leaf_mut};
use super::layers::LayerValue;
use super::setting_values::{coerce, default_value, is_exact, redacted_value, validation_error};
use super::text_form::value_fault;
use super::timeout_constraints::{TimeoutConstraint, required_constraints};
use super::{Environment, Origin, Settings};

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
            Err(problem) => self.problems.push(problem),
        }
    }

    /// The settings with one value more, or what is wrong with it.
    fn with_value(
        &self,
        key: &str,
        value: Value,
        origin: &Origin,
    ) -> Result<(Value, Settings), ConfigProblem> {
        let problem = |message: String, fix: String| {
            ConfigProblem::new(key, origin.location(key), message, fix)
        };
        let mut tree = self.tree.clone();
        let (Some(declaration), Some(leaf)) = (declaration(key), leaf_mut(&mut tree, key)) else {
            return Err(problem(
                "is not a setting".into(),
                suggest_setting(key, origin),
            ));
        };
        if let Some(fault) = value_fault(&value) {
            return Err(problem(fault.message, fault.fix.into()));
        }
        let is_exact = is_exact(&value, declaration.kind);
        let value = coerce(value, &default_value(key));
        let message = format!("is {}", redacted_value(key, &value));
        *leaf = value;
        let settings = Settings::deserialize(&tree).ok().filter(|_| is_exact);
        let Some(settings) = settings else {
            let fix = format!("expected {}", (declaration.expected)());
            return Err(problem(message, fix));
        };
        match validation_error(&settings, key) {
            Some(fix) => Err(problem(message, fix)),
            None => Ok((tree, settings)),
        }
    }

    /// Validates the settings against each other.
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

/// `[http]` with every key commented out.
fn is_empty_section(key: &str, value: &Value) -> bool {
    value.as_object().is_some_and(|table| table.is_empty())
        && keys().iter().any(|known| {
            known
                .split_once('.')
                .is_some_and(|(section, _)| section == key)
        })
}

/// Returns the fix for a key that is not a setting.
pub(super) fn suggest_setting(key: &str, origin: &Origin) -> String {
    if key == key.to_ascii_uppercase() {
        return format!("did you mean {key}?");
    }
    match closest_match(key, &keys()) {
        Some(known) => format!("did you mean {}?", origin.format_key(known)),
        None => "`orderly config` lists every setting; remove this one".into(),
    }
}
