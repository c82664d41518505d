//! Applies a changed configuration without a restart.
//!
//! Only what is safe to change under running requests can be: `reload_targets` lists it.
//! The rest, a pool's size or a port, needs a restart, and a log line says so for
//! each such key, or somebody would wonder for a day why nothing happened.
//!
//! All or nothing: the files are read and validated as a whole, as they are at the
//! start. If there is any mistake, the old values stay, all of them, and
//! `orderly_config_reload_failures_total` and
//! `orderly_config_last_reload_successful` tell, for nobody watches a reload the
//! way one watches a start.
//!
//! See it break: `tests/api/operations/config_reload.rs` and `tests/process/config_reload.rs`.

use std::sync::{Arc, Mutex};

use super::components::Components;
use crate::config::{ConfigError, Settings, changed_keys};
use crate::resilience::mutex::lock;
use crate::telemetry::logging;
use crate::telemetry::metrics::ReloadMetrics;

/// Settings that can be changed while the service runs.
struct ReloadTarget {
    /// A key, or a section with all of its keys.
    key_prefix: &'static str,
    apply: Box<dyn Fn(&Settings) + Send + Sync>,
}

impl ReloadTarget {
    fn new(key_prefix: &'static str, apply: impl Fn(&Settings) + Send + Sync + 'static) -> Self {
        Self {
            key_prefix,
            apply: Box::new(apply),
        }
    }

    fn matches(&self, key: &str) -> bool {
        key.strip_prefix(self.key_prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// What a reload can change, one line each.
fn reload_targets(components: &Components) -> Vec<ReloadTarget> {
    let (gateway_breaker, redis) = (components.gateway.breaker.clone(), components.redis.clone());
    let (in_flight, limits) = (components.in_flight.clone(), components.limits.clone());
    vec![
        ReloadTarget::new("log.filter", |new| {
            if let Err(error) = logging::set_filter(&new.log.filter) {
                tracing::error!(%error, "the log filter stays as it was");
            }
        }),
        ReloadTarget::new("breaker", move |new| {
            gateway_breaker.reconfigure(new.breaker.clone());
            if let Some(redis) = &redis {
                redis.reconfigure(new.breaker.for_redis());
            }
        }),
        ReloadTarget::new("rate_limit", move |new| {
            limits.reconfigure(new.rate_limit.clone())
        }),
        ReloadTarget::new("load_shedding", move |new| {
            in_flight.reconfigure(new.load_shedding.clone())
        }),
    ]
}

/// Knows what the service started with and what it has applied since. Clones are
/// the same one.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    targets: Vec<ReloadTarget>,
    startup_settings: Settings,
    current_settings: Mutex<Settings>,
    metrics: ReloadMetrics,
}

/// What a reload came to.
#[derive(Debug, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// Keys whose new values are used from now on.
    pub applied: Vec<String>,
    /// Keys whose new values wait for a restart.
    pub needs_restart: Vec<String>,
}

impl Reloader {
    pub(super) fn new(settings: &Settings, components: &Components) -> Self {
        Self(Arc::new(Inner {
            targets: reload_targets(components),
            startup_settings: settings.clone(),
            current_settings: Mutex::new(settings.clone()),
            metrics: components.metrics.reload.clone(),
        }))
    }

    /// Applies what was read, or keeps everything as it is if that has mistakes.
    ///
    /// # Errors
    /// Returns the error of `loaded`; nothing was changed.
    pub fn reload(
        &self,
        loaded: Result<Settings, ConfigError>,
    ) -> Result<ReloadOutcome, ConfigError> {
        let metrics = &self.0.metrics;
        match loaded {
            Ok(settings) => {
                metrics.config_last_reload_successful.set(1);
                Ok(self.apply(settings))
            }
            Err(error) => {
                metrics.config_last_reload_successful.set(0);
                metrics.config_reload_failures.inc();
                tracing::error!(%error, "the configuration was not reloaded");
                Err(error)
            }
        }
    }

    fn apply(&self, new: Settings) -> ReloadOutcome {
        let Inner {
            targets,
            startup_settings,
            ..
        } = &*self.0;
        let mut current = lock(&self.0.current_settings);
        let mut outcome = ReloadOutcome {
            applied: changed_keys(&current, &new),
            needs_restart: changed_keys(startup_settings, &new),
        };
        let is_reloadable = |key: &str| targets.iter().any(|target| target.matches(key));
        outcome.applied.retain(|key| is_reloadable(key));
        outcome.needs_restart.retain(|key| !is_reloadable(key));
        for target in targets {
            if outcome.applied.iter().any(|key| target.matches(key)) {
                (target.apply)(&new);
            }
        }
        *current = new;
        for key in &outcome.needs_restart {
            tracing::warn!(key, "a changed setting is not used before a restart");
        }
        tracing::info!(changed_keys = ?outcome.applied, "the configuration was reloaded");
        outcome
    }
}
