//! Operations: health checks, business metrics, configuration reload, first
//! failures, the admin listener.

mod admin_listener;
mod business_metrics;
mod config_reload;
mod first_failures;
mod health;
