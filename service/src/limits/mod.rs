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
//! An IPv6 client counts against its /64, /56 and /48 network ([`network`]), or one site would have
//! 65,536 quotas. A request over the quota of one of them is charged to none.
//!
//! `docs/rate-limits.md` is for those who set the limits or meet them. See it
//! break: `tests/api/rate_limits`.

pub(crate) mod connections;
mod key;
mod local_limiter;
pub(crate) mod network;
mod policy;
mod redis_limiter;

use std::array;
use std::cmp::Reverse;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::DefaultClock;

pub(crate) use key::Client;
use key::ClientKey;
pub(crate) use policy::{Policy, RequestClass};

use crate::config::RateLimitConfig;
use crate::redis_client::RedisClient;
use crate::telemetry::metrics::RateLimitMetrics;
use local_limiter::LocalLimiter;
use network::MAX_SHARE;
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
    /// By class, then by share.
    limits: [[QuotaLimit; MAX_SHARE as usize]; RequestClass::ALL.len()],
}

/// The limit of a class for clients with the same number of quotas.
#[derive(Clone)]
struct QuotaLimit {
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
        client: &Client,
    ) -> Result<Option<Admitted>, RateLimited> {
        let rules = self.rules();
        if !rules.config.enabled {
            return Ok(None);
        }
        let quotas = rules.quotas(class, client);
        let timeout = rules.config.redis_timeout;
        let (outcome, source) = match self.check_shared(class, &quotas, timeout).await {
            Some(outcome) => (Some(outcome), "redis"),
            None => (check_local(&quotas), "local"),
        };
        // Every client has a key.
        let Some((policy, decision)) = outcome else {
            return Ok(None);
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
            let limits = rules.limits[class as usize].iter();
            let remaining: usize = limits.map(|limit| limit.local.sweep()).sum();
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
        quotas: &[(&QuotaLimit, ClientKey)],
        timeout: Duration,
    ) -> Option<(Policy, Decision)> {
        let shared = self.0.shared.as_ref()?;
        let keys = quotas
            .iter()
            .map(|(limit, key)| (*key, limit.shared_policy));
        let decisions = shared.check(class, keys.collect(), timeout).await;
        let decisions = decisions
            .inspect_err(|error| tracing::debug!(%error, "the rate limit is this process's own"))
            .ok()?;
        let policies = quotas.iter().map(|(limit, _)| limit.shared_policy);
        tightest(policies.zip(decisions))
    }

    fn rules(&self) -> Arc<Rules> {
        let rules = &self.0.rules;
        Arc::clone(&rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Decides in this process alone. A request over one of its quotas is charged to none: otherwise a
/// flood from one network would use up the quota of the wider one, which others share.
fn check_local(quotas: &[(&QuotaLimit, ClientKey)]) -> Option<(Policy, Decision)> {
    if quotas.len() > 1 {
        let previews = quotas.iter();
        let previews = previews.map(|(limit, key)| (limit.local_policy, limit.local.preview(*key)));
        let preview = tightest(previews);
        if matches!(preview, Some((_, Decision::Rejected { .. }))) {
            return preview;
        }
    }
    let quotas = quotas.iter();
    tightest(quotas.map(|(limit, key)| (limit.local_policy, limit.local.check(*key))))
}

/// Returns the rejection with the longest wait, or else the decision that leaves the fewest requests.
fn tightest(decisions: impl IntoIterator<Item = (Policy, Decision)>) -> Option<(Policy, Decision)> {
    decisions
        .into_iter()
        .min_by_key(|(_, decision)| match decision {
            Decision::Rejected { retry_after } => (false, Reverse(*retry_after), 0),
            Decision::Allowed { remaining } => (true, Reverse(Duration::ZERO), *remaining),
        })
}

impl Rules {
    /// Returns the limits that a request counts against, each with the key to charge.
    fn quotas(&self, class: RequestClass, client: &Client) -> Vec<(&QuotaLimit, ClientKey)> {
        let limits = &self.limits[class as usize];
        let quota = |(key, share): &(ClientKey, u32)| {
            let index = share.clamp(&1, &MAX_SHARE) - 1;
            (&limits[index as usize], *key)
        };
        client.keys().iter().map(quota).collect()
    }

    fn new(config: RateLimitConfig, is_shared: bool, previous: Option<&Self>) -> Self {
        let unchanged = previous.filter(|rules| rules.config.max_keys == config.max_keys);
        let limits = RequestClass::ALL.map(|class| {
            array::from_fn(|index| {
                let share = index as u32 + 1;
                let shared_policy = class.policy(&config).multiplied_by(share);
                let local_policy = if is_shared && class.is_strict() {
                    shared_policy.divided_by(config.replicas)
                } else {
                    shared_policy
                };
                let unchanged = unchanged
                    .map(|rules| &rules.limits[class as usize][index])
                    .filter(|limit| limit.local_policy == local_policy);
                let local = match unchanged {
                    Some(limit) => Arc::clone(&limit.local),
                    None => {
                        let clock = DefaultClock::default();
                        Arc::new(LocalLimiter::new(local_policy, config.max_keys, clock))
                    }
                };
                QuotaLimit {
                    shared_policy,
                    local_policy,
                    local,
                }
            })
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
