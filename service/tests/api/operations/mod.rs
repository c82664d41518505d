//! Operations: health checks, business metrics, configuration reload, the admin listener.

mod admin_listener;
mod business_metrics;
mod config_reload;
mod health;
