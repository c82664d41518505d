//! Why a value was refused.

/// A value that breaks a rule of its type.
///
/// `code` is for programs and never changes, `message` is for people and may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// Stable, snake_case, such as `too_long`.
    pub code: &'static str,
    /// What the rule is, without the value itself.
    pub message: String,
}

impl Invalid {
    /// A refusal with its code and its rule.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
