//! The one shape of every section of the configuration.
//!
//! A setting is a name, a type, a default and what is allowed. Written with plain derives these four land in three
//! places (the struct, its `Default`, its attributes) and drift apart; [`section!`] keeps them on one line. The doc
//! comment is there for people who read the code and for those who run it: [`mod@super::schema`] shows it.
//!
//! The check ([`mod@super::check`]) validates the setting, and describes the allowed values in error messages, in the
//! schema and in rustdoc. So a doc comment does not repeat a range.

use super::setting_type::SettingKind;

/// Declares one section: `name: Type = default, check;`. The check is optional.
///
/// Durations stand in a block of their own, since they are read and written as `500ms`, `10s`, `15m`, and each must
/// have a range: a timeout without an upper bound is no timeout.
macro_rules! section {
    (@expected $type:ty) => {
        <$type as $crate::config::setting_type::SettingType>::expected()
    };
    (@expected $type:ty, $check:expr) => {
        $crate::config::check::expected_by::<$type, _>(&$check)
    };
    (@declaration $key:ident: $type:ty $(, $check:expr)?; $($doc:literal)*) => {
        $crate::config::section::SettingDeclaration {
            key: stringify!($key),
            kind: <$type as $crate::config::setting_type::SettingType>::KIND,
            is_secret: <$type as $crate::config::setting_type::SettingType>::IS_SECRET,
            expected: || $crate::config::section::section!(@expected $type $(, $check)?),
            doc: concat!($($doc),*),
        }
    };
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
                $(
                    #[doc = concat!("\n\n`", stringify!($check), "`")]
                    #[garde(custom($crate::config::check::validator::<$type, _>($check)))]
                )?
                pub $key: $type,
            )*
            $($(
                $(#[doc = $duration_doc])*
                #[serde(with = "humantime_serde")]
                #[doc = concat!("\n\n`", stringify!($duration_check), "`")]
                #[garde(custom($crate::config::check::validator::<std::time::Duration, _>($duration_check)))]
                pub $duration: std::time::Duration,
            )*)?
        }

        impl $section {
            /// What each setting is, in the order of the code.
            pub(super) const DECLARATIONS: &[$crate::config::section::SettingDeclaration] = &[
                $($crate::config::section::section!(@declaration $key: $type $(, $check)?; $($doc)*),)*
                $($($crate::config::section::section!(
                    @declaration $duration: std::time::Duration, $duration_check; $($duration_doc)*
                ),)*)?
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
    pub(super) kind: SettingKind,
    pub(super) is_secret: bool,
    /// Describes the allowed values.
    pub(super) expected: fn() -> String,
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
