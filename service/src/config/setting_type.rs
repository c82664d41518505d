//! Types of settings, each with a description of its values.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::{Compression, LogFormat, Network, Pooler, Secret};

/// The kind of a setting's value, for programs that read the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SettingKind {
    Integer,
    Number,
    Boolean,
    Duration,
    Text,
    List,
    Path,
    Address,
    Choice,
}

/// A type that settings have.
pub(super) trait SettingType {
    const KIND: SettingKind;
    const IS_SECRET: bool = false;

    /// Describes the values.
    fn expected() -> String;
}

macro_rules! setting_types {
    ($($($type:ty)|+ => $kind:ident, $expected:expr;)+) => {
        $($(
            impl SettingType for $type {
                const KIND: SettingKind = SettingKind::$kind;

                fn expected() -> String {
                    $expected.into()
                }
            }
        )+)+
    };
}

setting_types! {
    u16 | u32 | u64 | usize | i64 => Integer, "a whole number";
    f64 => Number, "a number";
    bool => Boolean, "true or false";
    Duration => Duration, "a duration";
    String => Text, "a text";
    Vec<String> => List, "texts, separated by commas";
    Vec<Network> => List, Network::EXPECTED;
    PathBuf | Option<PathBuf> => Path, "a path";
    IpAddr => Address, "an IP address such as 127.0.0.1, 0.0.0.0 or ::";
    LogFormat => Choice, choices::<LogFormat>();
    Compression => Choice, choices::<Compression>();
    Pooler => Choice, choices::<Pooler>();
}

impl SettingType for Option<Secret> {
    const KIND: SettingKind = SettingKind::Text;
    const IS_SECRET: bool = true;

    fn expected() -> String {
        "a text".into()
    }
}

/// Returns the values of an enumeration: `development, test or production`.
pub(super) fn choices<T: ValueEnum>() -> String {
    let values = T::value_variants().iter().filter_map(T::to_possible_value);
    let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
