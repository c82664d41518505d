//! Loads the layers, merges them and validates the result.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::keys::leaves;
use super::layers::read_layers;
use super::merge::Merge;
use super::{ConfigError, ConfigFlags, Origin, Settings};

/// Where to read from. Not `Debug`: it holds secrets that are not yet known to be such.
#[derive(Clone, Default)]
pub struct ConfigSources {
    /// What the command line says.
    pub flags: ConfigFlags,
    /// The environment, by name.
    pub variables: BTreeMap<OsString, OsString>,
    /// The `.env` file. It may be missing.
    pub dotenv: PathBuf,
}

/// The settings, and where each came from.
#[derive(Debug, Clone)]
pub struct LoadedConfig {
    /// What holds.
    pub settings: Settings,
    /// Where the files are, if there are any.
    pub(crate) directory: PathBuf,
    /// Names of the `OTEL_*` variables that are set and have no effect.
    pub ignored_variables: Vec<String>,
    environment_origin: Origin,
    origins: BTreeMap<String, Origin>,
}

/// One setting for people to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// `section.key`
    pub key: String,
    /// Its value, `[redacted]` for a secret, null when unset.
    pub value: serde_json::Value,
    /// Which layer it came from.
    pub origin: Origin,
}

impl LoadedConfig {
    /// Every setting, by section and key, secrets masked.
    pub fn entries(&self) -> Vec<ConfigEntry> {
        let environment = ConfigEntry {
            key: "environment".into(),
            value: self.settings.environment.to_string().into(),
            origin: self.environment_origin.clone(),
        };
        let origin = |key: &str| self.origins.get(key).cloned().unwrap_or(Origin::Default);
        let settings = (leaves(&self.settings).into_iter()).map(|(key, value)| ConfigEntry {
            origin: origin(&key),
            key,
            value,
        });
        std::iter::once(environment).chain(settings).collect()
    }
}

/// Loads the configuration of this process.
///
/// # Errors
/// Returns one error with every setting that is unknown, of the wrong type, out of range or in conflict with another.
pub(crate) fn load(flags: &ConfigFlags) -> Result<LoadedConfig, ConfigError> {
    load_from(&ConfigSources {
        flags: flags.clone(),
        variables: env::vars_os().collect(),
        dotenv: ".env".into(),
    })
}

/// Loads the configuration from given places.
///
/// # Errors
/// Returns one error with every setting that is unknown, of the wrong type, out of range or in conflict with another.
pub fn load_from(sources: &ConfigSources) -> Result<LoadedConfig, ConfigError> {
    let layers = read_layers(sources);
    let (environment, environment_origin) = layers.environment;
    let mut merge = Merge::new(environment, layers.problems);
    for value in layers.values {
        merge.apply(value);
    }
    merge.validate_constraints();
    match ConfigError::from_problems(merge.problems) {
        Some(error) => Err(error),
        None => Ok(LoadedConfig {
            settings: merge.settings,
            directory: layers.directory,
            ignored_variables: layers.ignored_variables,
            environment_origin,
            origins: merge.origins,
        }),
    }
}
