//! Collecting what is wrong with the fields of a request, all of it at once.

use crate::domain::validation::{ValidationCode, ValidationError};
use crate::http::problem::{FieldError, Problem};

/// What an `i64` is to a client.
pub(crate) const WHOLE_NUMBER: &str = "a whole number of at most 64 bits";

/// Collects validation errors, each with a pointer to its field.
#[derive(Default)]
pub(crate) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// The value if it is valid; otherwise its error is collected under `pointer`.
    pub(crate) fn check<T>(
        &mut self,
        pointer: &str,
        checked: Result<T, ValidationError>,
    ) -> Option<T> {
        checked
            .map_err(|error| self.0.push(FieldError::new(pointer, error)))
            .ok()
    }

    /// The same for a field that may be missing.
    pub(crate) fn check_optional<T>(
        &mut self,
        pointer: &str,
        checked: Option<Result<T, ValidationError>>,
    ) -> Option<Option<T>> {
        match checked {
            Some(checked) => self.check(pointer, checked).map(Some),
            None => Some(None),
        }
    }

    /// `valid` if no error was collected.
    ///
    /// # Errors
    /// Returns a problem with every error. `valid` is only missing if one was collected.
    pub(crate) fn finish<T>(self, valid: Option<T>) -> Result<T, Problem> {
        match valid {
            Some(valid) if self.0.is_empty() => Ok(valid),
            _ => Err(Problem::validation(self.0)),
        }
    }
}

/// What serde says of a field, as a pointer, a code and a message.
pub(super) fn field_error_from_serde(parent: &str, message: &str) -> FieldError {
    let field_name = message.split('`').nth(1);
    let (code, named_field) = if message.starts_with("missing field") {
        (ValidationCode::Missing, field_name)
    } else if message.starts_with("unknown field") {
        (ValidationCode::UnknownField, field_name)
    } else if message.starts_with("duplicate field") {
        (ValidationCode::DuplicateField, field_name)
    } else {
        (ValidationCode::WrongType, None)
    };
    let pointer = match named_field {
        Some(name) => format!("{parent}/{}", escape_pointer(name)),
        None => parent.to_owned(),
    };
    let message = match code {
        ValidationCode::WrongType => expected_type_message(message),
        _ => message.to_owned(),
    };
    FieldError {
        pointer,
        code: code.to_string(),
        message,
    }
}

/// What was expected, in the words of JSON and not of Rust. serde begins with what was found instead, and that may be
/// a password in the wrong place.
fn expected_type_message(message: &str) -> String {
    let expected = match message.rsplit_once(", expected ") {
        // The one type whose text is parsed here, by a crate with words of its own.
        _ if message.starts_with("UUID parsing failed") => "a UUID",
        Some((_, "a formatted UUID string")) => "a UUID",
        Some((_, "i64")) => WHOLE_NUMBER,
        Some((_, "a sequence")) => "an array",
        Some((_, expected)) if expected.starts_with("struct ") => "an object",
        Some((_, expected)) => expected,
        None => "what belongs here",
    };
    format!("must be {expected}")
}

/// Escapes a name for a JSON pointer (RFC 6901, section 3).
pub(super) fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
