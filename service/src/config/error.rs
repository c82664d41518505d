//! One message for everything that is wrong with the configuration.

use std::fmt;

/// What is wrong with the configuration: all of it at once, since nobody wants to learn of five mistakes in five
/// starts.
///
/// Its `Display` is a block for people that names each variable, what is wrong with it, and the fix. There is no
/// secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

/// One setting that cannot stay as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigProblem {
    /// The setting's key; empty when it is about a whole file.
    pub(super) key: String,
    /// Which one, and where it stands: `ORDERLY__HTTP__PORT (environment)`.
    location: String,
    /// Shows the value, unless that is a secret.
    message: String,
    fix: String,
}

impl ConfigError {
    /// `None` when nothing is wrong.
    pub(super) fn from_problems(problems: Vec<ConfigProblem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self { problems })
    }

    /// A setting that this command cannot do without.
    pub(super) fn missing(key: &str, fix: &str) -> Self {
        Self {
            problems: vec![ConfigProblem::missing(key, fix)],
        }
    }
}

impl ConfigProblem {
    pub(super) fn new(
        key: &str,
        location: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            location: location.into(),
            message: message.into(),
            fix: fix.into(),
        }
    }

    fn missing(key: &str, fix: &str) -> Self {
        Self::new(key, super::variable_name(key), "is not set", fix)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.problems.len() == 1 { "" } else { "s" };
        write!(
            f,
            "The configuration has {} problem{plural}:",
            self.problems.len()
        )?;
        for ConfigProblem {
            location,
            message,
            fix,
            ..
        } in &self.problems
        {
            write!(f, "\n\n  {location}\n    {message}\n    {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
