//! The one shape of every section of the configuration.
//!
//! A setting is a name, a type, a default and what is allowed. Written with plain derives these four land in three
//! places (the struct, its `Default`, its attributes) and drift apart; [`section!`] keeps them on one line.

use std::fmt::Debug;
use std::ops::RangeInclusive;

/// Declares one section: `name: Type = default, check;`. The check is optional.
///
/// Durations stand in a block of their own, since they are read and written as `500ms`, `10s`, `15m`, and each must
/// have a range: a timeout without an upper bound is no timeout.
macro_rules! section {
    (
        $(#[$section_doc:meta])*
        pub struct $section:ident {
            $($(#[$doc:meta])* $key:ident : $type:ty = $default:expr $(, $check:expr)?;)*
        }
        $(durations {
            $($(#[$time_doc:meta])* $time:ident = $time_default:expr, $time_check:expr;)*
        })?
    ) => {
        $(#[$section_doc])*
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize, garde::Validate)]
        #[serde(deny_unknown_fields, default)]
        #[garde(allow_unvalidated)]
        pub struct $section {
            $(
                $(#[$doc])*
                $(#[garde(custom($check))])?
                pub $key: $type,
            )*
            $($(
                $(#[$time_doc])*
                #[serde(with = "humantime_serde")]
                #[garde(custom($time_check))]
                pub $time: std::time::Duration,
            )*)?
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($key: $default,)* $($($time: $time_default,)*)? }
            }
        }
    };
}
pub(super) use section;

/// A check that a value lies in a range, both ends included. The message is the cure, so it names both ends.
pub(super) fn within<T: PartialOrd + Debug>(
    allowed: RangeInclusive<T>,
) -> impl Fn(&T, &()) -> garde::Result {
    move |value, ()| {
        if allowed.contains(value) {
            return Ok(());
        }
        Err(garde::Error::new(format!(
            "allowed: {:?} to {:?}",
            allowed.start(),
            allowed.end()
        )))
    }
}

/// A check that a text says something.
pub(super) fn not_blank(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("expected a text that is not blank"));
    }
    Ok(())
}
