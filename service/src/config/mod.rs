//! Configuration: read once at the start, judged as a whole, handed down as plain structs.
//!
//! **The problem.** A service is set up by people in a hurry. A variable with a typo is silently ignored, `10` means
//! seconds here and milliseconds there, the second mistake shows only after the first is mended, and the log line that
//! helps to find them prints the database's password.
//!
//! **How it works.** Values come in layers, and the later wins: built-in defaults, `config/default.toml`,
//! `config/{ORDERLY_ENV}.toml`, `config/local.toml`, `.env`, environment variables `ORDERLY__SECTION__KEY`, flags
//! `--set section.key=value`. Each value keeps its [`Origin`], each is judged alone, and a start with mistakes in it
//! ends with one [`ConfigError`] that names every one of them and its cure. Secrets are of type [`Secret`], which
//! cannot be printed, and may come from files: `ORDERLY__SECTION__KEY_FILE` is the path of one. No other module reads
//! the environment.
//!
//! A new setting is one line in the file of its section.
//!
//! **Watch it break.** `service/tests/config`; or start with `ORDERLY__HTTP__PROT=1 ORDERLY__HTTP__WORKERS=0`.

mod auth;
mod breaker;
mod cache;
mod changes;
mod closest_match;
mod cross_field;
mod database;
mod error;
mod events;
mod health;
mod http;
mod layers;
mod load_shedding;
mod log;
mod merge;
mod network;
mod orders;
mod origin;
mod payments;
mod rate_limit;
mod redis;
mod retry;
mod sandbox_gateway;
mod schema;
mod secret;
mod section;
mod shutdown;
mod telemetry;
mod timeout_constraints;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fmt};

use serde::{Deserialize, Serialize};

pub(crate) use auth::AuthConfig;
pub use breaker::BreakerConfig;
pub(crate) use cache::CacheConfig;
pub(crate) use changes::changed_keys;
pub use database::{DatabaseConfig, SslMode};
pub(crate) use error::ConfigError;
pub(crate) use events::EventsConfig;
pub(crate) use health::HealthConfig;
pub use http::{AdminConfig, HttpConfig};
pub(crate) use load_shedding::LoadSheddingConfig;
pub use log::{LogConfig, LogFormat};
pub(crate) use network::Network;
pub use orders::OrdersConfig;
pub use origin::Origin;
pub use payments::PaymentsConfig;
pub(crate) use rate_limit::RateLimitConfig;
pub use redis::RedisConfig;
pub(crate) use retry::RetryConfig;
pub(crate) use sandbox_gateway::SandboxGatewayConfig;
pub(crate) use schema::schema;
pub(crate) use secret::{REDACTED, Secret};
pub(crate) use shutdown::ShutdownConfig;
pub use telemetry::TelemetryConfig;

section::sections! {
    /// Everything that can be set.
    pub struct Settings {
        http: HttpConfig,
        admin: AdminConfig,
        database: DatabaseConfig,
        redis: RedisConfig,
        auth: AuthConfig,
        orders: OrdersConfig,
        payments: PaymentsConfig,
        events: EventsConfig,
        sandbox_gateway: SandboxGatewayConfig,
        log: LogConfig,
        telemetry: TelemetryConfig,
        rate_limit: RateLimitConfig,
        breaker: BreakerConfig,
        retry: RetryConfig,
        cache: CacheConfig,
        load_shedding: LoadSheddingConfig,
        health: HealthConfig,
        shutdown: ShutdownConfig,
    }
}

/// The kind of place the service runs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// A developer's machine; the default.
    #[default]
    Development,
    /// Automated tests.
    Test,
    /// Real customers: secrets must be given.
    Production,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Where to read from. Not `Debug`: it holds secrets that are not yet known to be such.
#[derive(Clone, Default)]
pub struct ConfigSources {
    /// What the command line says.
    pub flags: ConfigFlags,
    /// The environment, by name.
    pub variables: BTreeMap<String, String>,
    /// The `.env` file. It may be missing.
    pub dotenv: PathBuf,
}

/// The part of the command line that is about configuration.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigFlags {
    /// Override one setting, e.g. --set http.port=9000. May be repeated.
    ///
    /// Wins over the environment and the files. Not for secrets: other users of the machine see a command line.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", value_parser = parse_assignment)]
    pub set: Vec<(String, String)>,

    /// Where default.toml, {environment}.toml and local.toml are [default: $ORDERLY_CONFIG_DIR, or ./config]
    #[arg(long, global = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
}

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().into(), value.into())),
        None => Err("expected section.key=value".into()),
    }
}

/// The settings, and where each came from.
#[derive(Debug, Clone)]
pub struct LoadedConfig {
    /// What holds.
    pub settings: Settings,
    /// Where the files are, if there are any.
    pub(crate) directory: PathBuf,
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
/// One error with everything that is unknown, of the wrong type, out of range or at odds with another setting.
pub(crate) fn load(flags: &ConfigFlags) -> Result<LoadedConfig, ConfigError> {
    let text = |raw: std::ffi::OsString| raw.to_string_lossy().into_owned();
    load_from(&ConfigSources {
        flags: flags.clone(),
        variables: env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
        dotenv: ".env".into(),
    })
}

/// Loads the configuration from given places.
///
/// # Errors
/// As [`load`].
pub fn load_from(inputs: &ConfigSources) -> Result<LoadedConfig, ConfigError> {
    let layers = layers::read_layers(inputs);
    let (environment, environment_origin) = layers.environment;
    let mut merge = merge::Merge::new(environment, layers.problems);
    for value in layers.values {
        merge.apply(value);
    }
    merge.validate_constraints();
    match ConfigError::from_problems(merge.problems) {
        Some(error) => Err(error),
        None => Ok(LoadedConfig {
            settings: merge.settings,
            directory: layers.directory,
            environment_origin,
            origins: merge.origins,
        }),
    }
}

/// What is allowed, but better otherwise: sentences for the log of the start.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let violated = timeout_constraints::recommended_constraints(settings)
        .into_iter()
        .filter(|rule| !rule.is_satisfied());
    violated.map(|rule| rule.warning()).collect()
}

/// Every key there is, as `section.key`.
pub fn keys() -> Vec<String> {
    leaves(&Settings::default())
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

/// The environment variable that sets a key: `http.port` is `ORDERLY__HTTP__PORT`.
pub fn variable_name(key: &str) -> String {
    format!("ORDERLY__{}", key.to_uppercase().replace('.', "__"))
}

fn leaves(settings: &Settings) -> Vec<(String, serde_json::Value)> {
    // Plain structs of plain values: there is nothing in them that JSON cannot say.
    layers::flatten(serde_json::to_value(settings).unwrap_or_default())
}
