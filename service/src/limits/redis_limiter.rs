//! The limit that all replicas share: the GCRA, in Redis.
//!
//! To read a counter, decide and write it back from here would take two round
//! trips, and two replicas that read at the same time would both let the last
//! request through. So the decision is made where the state is: a Lua script runs
//! in Redis as one step, in one round trip (`EVALSHA`), for all networks of a client. The state of each is
//! one number with an expiry, so that a client who stays away costs nothing.
//!
//! See it break: `replicas_share_one_limit` in `tests/api/rate_limits/replicas.rs`.

use std::sync::Arc;
use std::time::Duration;

use redis::Script;

use super::{ClientKey, Decision, Policy, RequestClass};
use crate::redis_client::{RedisClient, RedisClientError};

/// The limiter in Redis.
pub(super) struct SharedLimiter {
    redis: RedisClient,
    script: Arc<Script>,
}

impl SharedLimiter {
    pub(super) fn new(redis: RedisClient) -> Self {
        Self {
            redis,
            script: Arc::new(Script::new(include_str!("gcra.lua"))),
        }
    }

    /// Returns the decision of each quota on one request, in no more than `timeout`. If one of them
    /// rejects it, none is charged, and the others reject it with a wait of zero.
    pub(super) async fn check(
        &self,
        class: RequestClass,
        quotas: Vec<(ClientKey, Policy)>,
        timeout: Duration,
    ) -> Result<Vec<Decision>, RedisClientError> {
        let script = Arc::clone(&self.script);
        let (allowed, numbers): (bool, Vec<u64>) = self
            .redis
            .run_with_timeout(
                "EVALSHA rate_limit",
                timeout,
                move |mut connection| async move {
                    let mut call = script.prepare_invoke();
                    for (key, policy) in quotas {
                        let interval_us = u64::try_from(policy.interval.as_micros());
                        call.key(format!("orderly:rate_limit:{}:{key}", class.as_str()))
                            .arg(interval_us.unwrap_or(u64::MAX))
                            .arg(policy.burst.get());
                    }
                    call.invoke_async(&mut connection).await
                },
            )
            .await?;
        let decision = |number| match allowed {
            true => Decision::Allowed {
                remaining: u32::try_from(number).unwrap_or(u32::MAX),
            },
            false => Decision::Rejected {
                retry_after: Duration::from_micros(number),
            },
        };
        Ok(numbers.into_iter().map(decision).collect())
    }
}
