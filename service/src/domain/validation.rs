//! Why a value was rejected.

use std::fmt;
use std::ops::RangeInclusive;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Which rule a value breaks: for programs, so a code never changes.
        /// `docs/problems.md` explains each (`tests/consistency/problems.rs` compares).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ValidationCode { $($(#[$doc])* $name,)* }

        impl ValidationCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is sent.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The field must be there.
    Missing = "missing";
    /// There is no such field.
    UnknownField = "unknown_field";
    /// The field is there twice.
    DuplicateField = "duplicate_field";
    /// A text for a number, a fraction for a whole number, and so on.
    WrongType = "wrong_type";
    /// A text of nothing or of white space.
    Blank = "blank";
    /// A text with too few characters.
    TooShort = "too_short";
    /// A text with too many characters.
    TooLong = "too_long";
    /// A text with a line break, a NUL or the like, or a name with an invisible formatting character.
    ControlCharacter = "control_character";
    /// No e-mail address.
    InvalidEmail = "invalid_email";
    /// A number, or a number of items, beyond its limits.
    OutOfRange = "out_of_range";
    /// An amount of nothing or less.
    NotPositive = "not_positive";
    /// No active ISO 4217 code in upper case.
    UnknownCurrency = "unknown_currency";
    /// No status of an order.
    UnknownStatus = "unknown_status";
    /// No cursor of this list.
    InvalidCursor = "invalid_cursor";
    /// Two lines order one product.
    DuplicateProduct = "duplicate_product";
    /// No product has this id.
    UnknownProduct = "unknown_product";
    /// Less is left than was ordered.
    OutOfStock = "out_of_stock";
    /// The product is not priced in the currency of the first line.
    MixedCurrency = "mixed_currency";
    /// The sum does not fit into 64 bits.
    TotalTooLarge = "total_too_large";
}

impl fmt::Display for ValidationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value that breaks a rule of its type.
///
/// `code` is for programs and never changes, `message` is for people and may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValidationError {
    pub(crate) code: ValidationCode,
    /// What the rule is, without the value itself.
    pub(crate) message: String,
}

impl ValidationError {
    pub(crate) fn new(code: ValidationCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Returns `number` as a `T`, which must be able to hold every number of `range`.
///
/// # Errors
/// Returns `out_of_range` if `number` is not in `range`.
pub(super) fn parse_in_range<T: TryFrom<i64>>(
    number: i64,
    range: RangeInclusive<i64>,
) -> Result<T, ValidationError> {
    T::try_from(number)
        .ok()
        .filter(|_| range.contains(&number))
        .ok_or_else(|| {
            let (start, end) = range.into_inner();
            let message = format!("must be from {start} to {end}");
            ValidationError::new(ValidationCode::OutOfRange, message)
        })
}
