//! The one shape of every section of the configuration.
//!
//! A setting is a name, a type, a default and what is allowed. Written with plain derives these four land in three
//! places (the struct, its `Default`, its attributes) and drift apart; [`section!`] keeps them on one line. The doc
//! comment is there for people who read the code and for those who run it: [`mod@super::schema`] shows it.

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
            $($(#[doc = $doc:literal])* $key:ident : $type:ty = $default:expr $(, $check:expr)?;)*
        }
        $(durations {
            $($(#[doc = $duration_doc:literal])* $duration:ident = $duration_default:expr, $duration_check:expr;)*
        })?
    ) => {
        $(#[$section_doc])*
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize, garde::Validate)]
        #[serde(deny_unknown_fields, default)]
        #[garde(allow_unvalidated)]
        pub struct $section {
            $(
                $(#[doc = $doc])*
                $(#[garde(custom($check))])?
                pub $key: $type,
            )*
            $($(
                $(#[doc = $duration_doc])*
                #[serde(with = "humantime_serde")]
                #[garde(custom($duration_check))]
                pub $duration: std::time::Duration,
            )*)?
        }

        impl $section {
            /// What each setting is, in the order of the code.
            pub(super) const DECLARATIONS: &[$crate::config::section::SettingDeclaration] = &[
                $($crate::config::section::SettingDeclaration {
                    key: stringify!($key),
                    rust_type: stringify!($type),
                    doc: concat!($($doc),*),
                },)*
                $($($crate::config::section::SettingDeclaration {
                    key: stringify!($duration),
                    rust_type: "Duration",
                    doc: concat!($($duration_doc),*),
                },)*)?
            ];
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($key: $default,)* $($($duration: $duration_default,)*)? }
            }
        }
    };
}
pub(super) use section;

/// What [`section!`] knows of a setting beside its value.
pub(super) struct SettingDeclaration {
    pub(super) key: &'static str,
    pub(super) rust_type: &'static str,
    /// The lines of its doc comment.
    pub(super) doc: &'static str,
}

/// Declares all settings, as `name: Section`.
macro_rules! sections {
    ($(#[$doc:meta])* pub struct $settings:ident { $($name:ident : $section:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, garde::Validate)]
        #[serde(deny_unknown_fields, default)]
        #[expect(missing_docs, reason = "each section is documented at its type")]
        pub struct $settings {
            /// Which kind of place this runs in; from `ORDERLY_ENV`, and not a key of the files, since it chooses among them.
            #[serde(skip)]
            #[garde(skip)]
            pub environment: Environment,
            $(#[garde(dive)] pub $name: $section,)*
        }

        impl $settings {
            /// Each section with what its settings are.
            const SECTIONS: &[(&'static str, &'static [section::SettingDeclaration])] =
                &[$((stringify!($name), <$section>::DECLARATIONS)),*];
        }
    };
}
pub(super) use sections;

/// A check that a value lies in a range, both ends included. The message is the fix, so it names both ends.
pub(super) fn in_range<T: PartialOrd + Debug>(
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

/// Whether a text is an absolute URL of one of these schemes, without a user and a password.
pub(super) fn is_url_without_credentials(text: &str, schemes: &[&str]) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        schemes.contains(&url.scheme()) && url.username().is_empty() && url.password().is_none()
    })
}
