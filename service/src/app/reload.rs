//! Takes up a changed configuration without a restart.
//!
//! Only what is safe to change under running requests can be: `targets` lists it.
//! The rest, a pool's size or a port, needs a restart, and a log line says so for
//! each such key, or somebody would wonder for a day why nothing happened.
//!
//! All or nothing: the files are read and judged as a whole, as they are at the
//! start. If there is any mistake, the old values stay, all of them, and
//! `orderly_config_reload_failures_total` and
//! `orderly_config_last_reload_successful` tell, for nobody watches a reload the
//! way one watches a start.
//!
//! See it break: `tests/api/operations/config_reload.rs` and `tests/process/config_reload.rs`.

use std::sync::{Arc, Mutex, PoisonError};

use super::parts::Components;
use crate::config::{ConfigError, Settings, changed_keys};
use crate::telemetry::logging;
use crate::telemetry::metrics::ReloadMetrics;

/// Settings that can be changed while the service runs.
struct Target {
    /// A key, or a section with all of its keys.
    keys: &'static str,
    take_up: Box<dyn Fn(&Settings) + Send + Sync>,
}

impl Target {
    fn new(keys: &'static str, take_up: impl Fn(&Settings) + Send + Sync + 'static) -> Self {
        Self {
            keys,
            take_up: Box::new(take_up),
        }
    }

    fn has(&self, key: &str) -> bool {
        key.strip_prefix(self.keys)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// What a reload can change, one line each.
fn targets(components: &Components) -> Vec<Target> {
    let (payments, redis) = (components.gateway.breaker.clone(), components.redis.clone());
    let (in_flight, limits) = (components.in_flight.clone(), components.limits.clone());
    vec![
        Target::new("log.filter", |new| {
            if let Err(error) = logging::change_filter(&new.log.filter) {
                tracing::error!(%error, "the log filter stays as it was");
            }
        }),
        Target::new("breaker", move |new| {
            payments.reconfigure(new.breaker.clone());
            if let Some(redis) = &redis {
                redis.reconfigure(new.breaker.for_redis());
            }
        }),
        Target::new("rate_limit", move |new| {
            limits.reconfigure(new.rate_limit.clone())
        }),
        Target::new("load_shedding", move |new| in_flight.reconfigure(new.load_shedding.clone())),
    ]
}

/// Knows what the service started with and what it has taken up since. Clones are
/// the same one.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    targets: Vec<Target>,
    started_with: Settings,
    taken_up: Mutex<Settings>,
    metrics: ReloadMetrics,
}

/// What a reload came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys whose new values are used from now on.
    pub taken_up: Vec<String>,
    /// Keys whose new values wait for a restart.
    pub needs_restart: Vec<String>,
}

impl Reloader {
    pub(super) fn new(settings: &Settings, components: &Components) -> Self {
        Self(Arc::new(Inner {
            targets: targets(components),
            started_with: settings.clone(),
            taken_up: Mutex::new(settings.clone()),
            metrics: components.metrics.reload.clone(),
        }))
    }

    /// Takes up what was read, or keeps everything as it is if that has mistakes.
    ///
    /// # Errors
    /// The mistakes.
    pub fn reload(&self, read: Result<Settings, ConfigError>) -> Result<Reloaded, ConfigError> {
        let metrics = &self.0.metrics;
        match read {
            Ok(settings) => {
                metrics.last_successful.set(1);
                Ok(self.take_up(settings))
            }
            Err(mistakes) => {
                metrics.last_successful.set(0);
                metrics.failures.inc();
                tracing::error!(%mistakes, "the configuration was not reloaded");
                Err(mistakes)
            }
        }
    }

    fn take_up(&self, new: Settings) -> Reloaded {
        let Inner {
            targets,
            started_with,
            ..
        } = &*self.0;
        let mut current = (self.0.taken_up.lock()).unwrap_or_else(PoisonError::into_inner);
        let mut reloaded = Reloaded {
            taken_up: changed_keys(&current, &new),
            needs_restart: changed_keys(started_with, &new),
        };
        let can_reload = |key: &str| targets.iter().any(|target| target.has(key));
        reloaded.taken_up.retain(|key| can_reload(key));
        reloaded.needs_restart.retain(|key| !can_reload(key));
        for target in targets {
            if reloaded.taken_up.iter().any(|key| target.has(key)) {
                (target.take_up)(&new);
            }
        }
        *current = new;
        for key in &reloaded.needs_restart {
            tracing::warn!(key, "a changed setting is not used before a restart");
        }
        tracing::info!(changed = ?reloaded.taken_up, "the configuration was reloaded");
        reloaded
    }
}
