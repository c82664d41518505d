//! Configuration: read once at the start, checked as a whole, never looked at again.

mod auth;
mod database;
mod error;
mod events;
mod http;
mod log;
mod orders;
mod payments;
mod redis;
mod sandbox_gateway;
mod secret;
mod section;
mod shutdown;

use garde::Validate;
use serde::{Deserialize, Serialize};

pub use auth::AuthConfig;
pub use database::DatabaseConfig;
pub use error::ConfigError;
pub use events::EventsConfig;
pub use http::{AdminConfig, HttpConfig};
pub use log::{LogConfig, LogFormat};
pub use orders::OrdersConfig;
pub use payments::PaymentsConfig;
pub use redis::RedisConfig;
pub use sandbox_gateway::SandboxGatewayConfig;
pub use secret::{REDACTED, Secret};
pub use shutdown::ShutdownConfig;

/// Everything that can be set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each section is documented at its type")]
pub struct Settings {
    /// Which kind of place this runs in; from `ORDERLY_ENV`, and not a key of the files, since it chooses among them.
    #[serde(skip)]
    #[garde(skip)]
    pub environment: Environment,
    #[garde(dive)]
    pub http: HttpConfig,
    #[garde(dive)]
    pub admin: AdminConfig,
    #[garde(dive)]
    pub database: DatabaseConfig,
    #[garde(dive)]
    pub redis: RedisConfig,
    #[garde(dive)]
    pub auth: AuthConfig,
    #[garde(dive)]
    pub orders: OrdersConfig,
    #[garde(dive)]
    pub payments: PaymentsConfig,
    #[garde(dive)]
    pub events: EventsConfig,
    #[garde(dive)]
    pub sandbox_gateway: SandboxGatewayConfig,
    #[garde(dive)]
    pub log: LogConfig,
    #[garde(dive)]
    pub shutdown: ShutdownConfig,
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

/// The environment variable that sets a key: `http.port` is `ORDERLY__HTTP__PORT`.
pub fn variable(key: &str) -> String {
    format!("ORDERLY__{}", key.to_uppercase().replace('.', "__"))
}
