//! Rate limits: nobody takes more than their share.
//!
//! One client in a loop can use up what all others need, and one that guesses
//! passwords needs nothing but patience. So each client has a quota of requests,
//! which comes back at a steady rate. The algorithm is the GCRA (generic cell rate
//! algorithm: ITU-T Recommendation I.371, annex A; B. Leach, "Rate Limiting, Cells,
//! and GCRA", 2015): a leaky bucket that needs no tick. It keeps one number for
//! each client, the *theoretical arrival time*: when the quota would be whole
//! again. A request moves it on by one interval; one that would move it further
//! ahead of now than a whole burst is rejected, and changes nothing.
//!
//! Who counts? With Redis, `shared.rs` counts for all replicas together. Without it,
//! or when it does not answer within `rate_limit.redis_timeout`, `local.rs` counts
//! for this process alone, and nobody waits. What then, each `RequestClass` says:
//!
//! - *Reads and writes fail open*: each replica grants the whole limit. A client
//!   may get more than its share, but none gets less because Redis is away.
//! - *Registrations and log-ins fail closed*: each replica grants the limit divided
//!   by `rate_limit.replicas`, so that to take Redis down wins no guesses.
//!
//! `docs/rate-limits.md` is for those who set the limits or meet them. See it
//! break: `tests/api/rate_limits`.

mod key;
mod local_limiter;
pub(crate) mod network;
mod policy;
mod redis_limiter;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::DefaultClock;

pub(crate) use key::ClientKey;
pub(crate) use policy::{Policy, RequestClass};

use crate::config::RateLimitConfig;
use crate::redis_client::RedisClient;
use crate::telemetry::metrics::RateLimitMetrics;
use local_limiter::LocalLimiter;
use redis_limiter::SharedLimiter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Allowed { remaining: u32 },
    Rejected { retry_after: Duration },
}

/// A request within the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admitted {
    pub(crate) class: RequestClass,
    pub(crate) policy: Policy,
    /// What is left of the quota, in requests.
    pub(crate) remaining: u32,
}

/// A request over the limit.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many requests of the class {}", class.as_str())]
pub(crate) struct RateLimited {
    pub(crate) class: RequestClass,
    pub(crate) policy: Policy,
    /// When there will be room for the next one.
    pub(crate) retry_after: Duration,
}

/// The limits. Clones share them.
#[derive(Clone)]
pub(crate) struct RateLimits(Arc<RateLimitsShared>);

struct RateLimitsShared {
    rules: RwLock<Arc<Rules>>,
    shared: Option<SharedLimiter>,
    metrics: RateLimitMetrics,
}

/// The configuration, and what was made of it.
struct Rules {
    config: Arc<RateLimitConfig>,
    limits: [ClassLimit; RequestClass::ALL.len()],
}

#[derive(Clone)]
struct ClassLimit {
    /// When all replicas count together.
    shared_policy: Policy,
    /// When this one counts alone.
    local_policy: Policy,
    local: Arc<LocalLimiter>,
}

impl RateLimits {
    /// Limits that all replicas with this Redis share, or those of this process.
    pub(crate) fn new(
        config: RateLimitConfig,
        redis: Option<RedisClient>,
        metrics: RateLimitMetrics,
    ) -> Self {
        let rules = Rules::new(config, redis.is_some(), None);
        Self(Arc::new(RateLimitsShared {
            rules: RwLock::new(Arc::new(rules)),
            shared: redis.map(SharedLimiter::new),
            metrics,
        }))
    }

    /// Uses other limits from now on. What was counted under a limit that did not
    /// change stays.
    pub(crate) fn reconfigure(&self, config: RateLimitConfig) {
        let rules = &self.0.rules;
        let mut rules = rules.write().unwrap_or_else(PoisonError::into_inner);
        *rules = Arc::new(Rules::new(config, self.0.shared.is_some(), Some(&rules)));
    }

    /// The limits as they are set now.
    pub(crate) fn config(&self) -> Arc<RateLimitConfig> {
        Arc::clone(&self.rules().config)
    }

    /// Counts one request; `None` if there are no limits.
    ///
    /// # Errors
    /// Returns [`RateLimited`] if the request is over the limit.
    pub(crate) async fn check(
        &self,
        class: RequestClass,
        key: &ClientKey,
    ) -> Result<Option<Admitted>, RateLimited> {
        let rules = self.rules();
        if !rules.config.enabled {
            return Ok(None);
        }
        let limit = &rules.limits[class as usize];
        let timeout = rules.config.redis_timeout;
        let (policy, decision, source) = match self.check_shared(class, limit, key, timeout).await {
            Some(decision) => (limit.shared_policy, decision, "redis"),
            None => (limit.local_policy, limit.local.check(key), "local"),
        };
        let metrics = &self.0.metrics;
        metrics
            .rate_limit_decisions
            .with_label_values(&[source])
            .inc();
        match decision {
            Decision::Allowed { remaining } => Ok(Some(Admitted {
                class,
                policy,
                remaining,
            })),
            Decision::Rejected { retry_after } => {
                let labels = &[class.as_str()];
                metrics
                    .requests_rate_limited
                    .with_label_values(labels)
                    .inc();
                Err(RateLimited {
                    class,
                    policy,
                    retry_after,
                })
            }
        }
    }

    /// Forgets the clients of this process whose quota is whole again. Takes some
    /// milliseconds when there are many.
    pub(crate) fn sweep(&self) {
        let rules = self.rules();
        for class in RequestClass::ALL {
            let remaining = rules.limits[class as usize].local.sweep();
            let keys = self
                .0
                .metrics
                .rate_limit_keys
                .with_label_values(&[class.as_str()]);
            keys.set(i64::try_from(remaining).unwrap_or(i64::MAX));
        }
    }

    async fn check_shared(
        &self,
        class: RequestClass,
        limit: &ClassLimit,
        key: &ClientKey,
        timeout: Duration,
    ) -> Option<Decision> {
        let shared = self.0.shared.as_ref()?;
        let decision = shared.check(class, limit.shared_policy, key, timeout).await;
        decision
            .inspect_err(|error| tracing::debug!(%error, "the rate limit is this process's own"))
            .ok()
    }

    fn rules(&self) -> Arc<Rules> {
        let rules = &self.0.rules;
        Arc::clone(&rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Rules {
    fn new(config: RateLimitConfig, is_shared: bool, previous: Option<&Self>) -> Self {
        let limits = RequestClass::ALL.map(|class| {
            let shared_policy = class.policy(&config);
            let local_policy = if is_shared && class.is_strict() {
                shared_policy.divided_by(config.replicas)
            } else {
                shared_policy
            };
            let unchanged = previous
                .filter(|rules| rules.config.max_keys == config.max_keys)
                .map(|rules| &rules.limits[class as usize])
                .filter(|limit| limit.local_policy == local_policy);
            let local = match unchanged {
                Some(limit) => Arc::clone(&limit.local),
                None => {
                    let clock = DefaultClock::default();
                    Arc::new(LocalLimiter::new(local_policy, config.max_keys, clock))
                }
            };
            ClassLimit {
                shared_policy,
                local_policy,
                local,
            }
        });
        Self {
            config: Arc::new(config),
            limits,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
#[path = "reconfigure_tests.rs"]
mod tests;
