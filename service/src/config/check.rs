//! Checks of settings: each validates a value and describes the allowed ones.

use std::borrow::Borrow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::setting_type::SettingType;

/// A check of a setting of the type `T`.
pub(super) trait Check<T> {
    /// Describes the allowed values: `a whole number from 1 to 256`.
    fn expected(&self) -> String;

    /// # Errors
    /// Returns the fix if the value is not allowed.
    fn validate(&self, value: &T) -> Result<(), String>;
}

/// Makes a check usable in an attribute of garde.
pub(super) fn validator<T, C: Check<T>>(check: C) -> impl Fn(&T, &()) -> garde::Result {
    move |value, ()| check.validate(value).map_err(garde::Error::new)
}

/// Returns [`Check::expected`] of a setting whose type the caller names.
pub(super) fn expected_by<T, C: Check<T>>(check: &C) -> String {
    check.expected()
}

/// A range, both ends included.
pub(super) struct InRange<T>(RangeInclusive<T>);

/// Allows the values of a range, both ends included.
pub(super) fn in_range<T>(range: RangeInclusive<T>) -> InRange<T> {
    InRange(range)
}

impl<T: SettingType + Bound> Check<T> for InRange<T> {
    fn expected(&self) -> String {
        let (start, end) = (self.0.start().format(), self.0.end().format());
        format!("{} from {start} to {end}", T::expected())
    }

    fn validate(&self, value: &T) -> Result<(), String> {
        match self.0.contains(value) {
            true => Ok(()),
            false => Err(format!("expected {}", self.expected())),
        }
    }
}

/// A range of durations whose values are used in whole seconds.
pub(super) struct InWholeSeconds(InRange<Duration>);

/// Allows the whole seconds of a range, both ends included: its user would cut the rest off.
pub(super) fn in_whole_seconds(range: RangeInclusive<Duration>) -> InWholeSeconds {
    InWholeSeconds(in_range(range))
}

impl Check<Duration> for InWholeSeconds {
    fn expected(&self) -> String {
        format!("{}, in whole seconds", self.0.expected())
    }

    fn validate(&self, value: &Duration) -> Result<(), String> {
        match value.subsec_nanos() == 0 && self.0.validate(value).is_ok() {
            true => Ok(()),
            false => Err(format!("expected {}", self.expected())),
        }
    }
}

/// An end of a range.
pub(super) trait Bound: PartialOrd {
    /// Formats it as a file of settings would have it.
    fn format(&self) -> String;
}

macro_rules! numeric_bounds {
    ($($number:ty),+) => {
        $(impl Bound for $number {
            fn format(&self) -> String {
                self.to_string()
            }
        })+
    };
}

numeric_bounds!(u16, u32, u64, usize, i64, f64);

impl Bound for Duration {
    fn format(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

/// A condition with its description.
pub(super) struct Expects<B: ?Sized> {
    expected: &'static str,
    is_allowed: fn(&B) -> bool,
}

/// Allows the values that meet a condition; `expected` describes them.
pub(super) fn expects<B: ?Sized>(expected: &'static str, is_allowed: fn(&B) -> bool) -> Expects<B> {
    Expects {
        expected,
        is_allowed,
    }
}

impl<B: ?Sized, T: Borrow<B>> Check<T> for Expects<B> {
    fn expected(&self) -> String {
        self.expected.into()
    }

    fn validate(&self, value: &T) -> Result<(), String> {
        match (self.is_allowed)(value.borrow()) {
            true => Ok(()),
            false => Err(format!("expected {}", self.expected)),
        }
    }
}

/// Allows texts that say something.
pub(super) fn not_blank() -> Expects<str> {
    expects("a text that is not blank", |text: &str| {
        !text.trim().is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_describes_both_ends_also_when_zero_is_allowed() {
        let expected = expected_by::<u32, _>(&in_range(0..=256));
        assert_eq!(expected, "a whole number from 0 to 256");
        let expected = expected_by::<f64, _>(&in_range(0.0..=0.9));
        assert_eq!(expected, "a number from 0 to 0.9");
        let hour = Duration::from_hours(1);
        let expected = expected_by::<Duration, _>(&in_range(Duration::ZERO..=hour));
        assert_eq!(expected, "a duration from 0s to 1h");
    }

    #[test]
    fn range_contains_both_ends() {
        let check = in_range(1_u32..=3);
        let allowed = [0, 1, 3, 4].map(|value| check.validate(&value).is_ok());
        assert_eq!(allowed, [false, true, true, false]);
    }
}
