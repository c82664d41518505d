//! Configuration: read once at the start, validated as a whole, handed down as plain structs.
//!
//! **The problem.** A service is set up by people in a hurry. A variable with a typo is silently ignored, `10` means
//! seconds here and milliseconds there, the second mistake shows only after the first is fixed, and the log line that
//! helps to find them prints the database's password.
//!
//! **How it works.** Values come in layers, and the later wins: built-in defaults, `config/default.toml`,
//! `config/{ORDERLY_ENV}.toml`, `config/local.toml`, standard `OTEL_*` variables ([`otel`]), `.env`, environment
//! variables `ORDERLY__SECTION__KEY`, flags `--set section.key=value`. Each value keeps its [`Origin`], each is validated alone, and a start with mistakes in it
//! ends with one `ConfigError` that names every one of them and its cure. Secrets are of type `Secret`, which
//! cannot be printed, and may come from files: `ORDERLY__SECTION__KEY_FILE` is the path of one. No other module reads
//! the environment. A value holds exactly as it is written, or it is rejected.
//!
//! A new setting is one line in the file of its section.
//!
//! **Watch it break.** `service/tests/config`; or start with `ORDERLY__HTTP__PROT=1 ORDERLY__HTTP__WORKERS=0`.

mod auth;
mod breaker;
mod cache;
mod changes;
mod check;
mod closest_match;
mod cross_field;
mod database;
mod dotenv;
mod env_variable;
mod error;
mod events;
mod flags;
mod health;
mod http;
mod jobs;
mod key_value_list;
mod keys;
mod layers;
mod load;
mod load_shedding;
mod log;
mod merge;
mod network;
mod orders;
mod origin;
mod otel;
mod payments;
mod postgres_url;
mod rate_limit;
mod readers;
mod redis;
mod retry;
mod schema;
mod secret;
mod section;
mod setting_type;
mod setting_values;
mod shutdown;
mod ssl_mode;
mod telemetry;
mod text_form;
mod timeout_constraints;
mod urls;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use auth::AuthConfig;
pub use breaker::BreakerConfig;
pub(crate) use cache::CacheConfig;
pub(crate) use changes::changed_keys;
pub use database::{DatabaseConfig, Pooler};
pub(crate) use error::ConfigError;
pub(crate) use events::EventsConfig;
pub use flags::ConfigFlags;
pub(crate) use health::HealthConfig;
pub use http::{AdminConfig, HttpConfig};
pub use jobs::JobConfig;
pub use keys::{keys, variable_name};
pub(crate) use load::load;
pub use load::{ConfigEntry, ConfigSources, LoadedConfig, load_from};
pub(crate) use load_shedding::LoadSheddingConfig;
pub use log::{LogConfig, LogFormat};
pub(crate) use network::Network;
pub use orders::OrdersConfig;
pub use origin::Origin;
pub use payments::PaymentsConfig;
pub(crate) use rate_limit::RateLimitConfig;
pub use redis::RedisConfig;
pub(crate) use retry::RetryConfig;
pub(crate) use schema::schema;
pub(crate) use secret::Secret;
pub(crate) use shutdown::ShutdownConfig;
pub use ssl_mode::SslMode;
pub use telemetry::{Compression, TelemetryConfig};
pub use timeout_constraints::warnings;

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
        payment_jobs: JobConfig,
        order_expiry_jobs: JobConfig,
        events: EventsConfig,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
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
