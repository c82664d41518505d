//! The rule that all short texts share.

use super::validation::{ValidationCode, ValidationError};

/// Accepts `text` if it has 1 to `max` characters, no control characters (a
/// NUL byte cannot even be stored: PostgreSQL manual 8.3) and is not blank.
///
/// # Errors
/// Returns `blank`, `too_long` (more than `max` characters) or `control_character`.
pub(crate) fn parse_short_text(text: String, max: usize) -> Result<String, ValidationError> {
    if text.trim().is_empty() {
        return Err(ValidationError::new(
            ValidationCode::Blank,
            "must not be blank",
        ));
    }
    if text.chars().count() > max {
        return Err(ValidationError::new(
            ValidationCode::TooLong,
            format!("must have at most {max} characters"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(ValidationError::new(
            ValidationCode::ControlCharacter,
            "must not contain control characters",
        ));
    }
    Ok(text)
}

/// Declares a text type with a length limit: its doc comment, then `pub Name, 200`.
macro_rules! short_text_type {
    ($(#[$doc:meta])* $visibility:vis $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $visibility struct $name(String);

        impl $name {
            /// The most characters it may have.
            const MAX_LENGTH: usize = $max;

            /// Checks the text (see `parse_short_text`).
            ///
            /// # Errors
            /// Returns `blank`, `too_long` or `control_character`.
            $visibility fn parse(text: String) -> Result<Self, $crate::domain::validation::ValidationError> {
                $crate::domain::text::parse_short_text(text, Self::MAX_LENGTH).map(Self)
            }

            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use short_text_type;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> &'static str {
        parse_short_text(text.to_owned(), 5).map_or_else(|e| e.code.as_str(), |_| "ok")
    }

    #[test]
    fn length_limit_counts_characters_not_bytes() {
        assert_eq!(code("ééééé"), "ok");
        assert_eq!(code("éééééé"), "too_long");
    }

    #[test]
    fn rejects_blank_text_and_control_characters() {
        assert_eq!(code(""), "blank");
        assert_eq!(code(" \u{a0}"), "blank");
        assert_eq!(code("a\0b"), "control_character");
        assert_eq!(code("a\nb"), "control_character");
    }

    proptest! {
        #[test]
        fn returns_accepted_text_unchanged(text in "\\PC{1,5}") {
            prop_assume!(!text.trim().is_empty());
            prop_assert_eq!(parse_short_text(text.clone(), 5), Ok(text));
        }
    }
}
