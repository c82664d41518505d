//! One message for everything that is wrong with the configuration.

use std::fmt;

/// What is wrong with the configuration: all of it at once, since nobody wants to learn of five mistakes in five
/// starts.
///
/// Its `Display` is a block for people that names each variable, what is wrong with it, and the cure. There is no
/// secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One setting that cannot stay as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The setting's key; empty when it is about a whole file.
    pub(super) key: String,
    /// Which one, and where it stands: `ORDERLY__HTTP__PORT (environment)`.
    pub(super) place: String,
    /// What is wrong, with the value unless that is a secret.
    pub(super) fault: String,
    /// What to do about it.
    pub(super) cure: String,
}

impl ConfigError {
    /// `None` when nothing is wrong.
    pub(super) fn from_problems(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self { problems })
    }

    /// A setting that this command cannot do without.
    pub(crate) fn missing(key: &str, cure: &str) -> Self {
        Self {
            problems: vec![Problem::missing(key, cure)],
        }
    }
}

impl Problem {
    pub(super) fn new(
        key: &str,
        place: impl Into<String>,
        fault: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            place: place.into(),
            fault: fault.into(),
            cure: cure.into(),
        }
    }

    pub(super) fn missing(key: &str, cure: &str) -> Self {
        Self::new(key, super::variable(key), "is not set", cure)
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
        for Problem {
            place, fault, cure, ..
        } in &self.problems
        {
            write!(f, "\n\n  {place}\n    {fault}\n    {cure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
