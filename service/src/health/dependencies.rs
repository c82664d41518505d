//! What the service can do without for a while: Redis and the payment gateway.

use futures_util::future::BoxFuture;
use redis::cmd;
use serde_json::json;

use super::{CheckResult, HealthCheck, HealthStatus};
use crate::redis_client::RedisClient;
use crate::resilience::breaker::{Breaker, BreakerState};

/// Key that the check writes.
const HEALTH_KEY: &str = "orderly:health";

/// Lifetime of that key, in milliseconds.
const HEALTH_KEY_TTL_MS: u32 = 60_000;

/// Whether Redis can be written. A read-only replica and a full server respond to `PING` as well,
/// and a breaker that such a probe closes opens again with the next write. The write goes through
/// the breaker, and so counts as one of the probes that close it.
pub(crate) struct RedisCheck(pub(crate) RedisClient);

impl HealthCheck for RedisCheck {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let write = |mut conn| async move {
                let mut set = cmd("SET");
                set.arg(HEALTH_KEY).arg(1).arg("PX").arg(HEALTH_KEY_TTL_MS);
                set.query_async::<()>(&mut conn).await
            };
            let error = self
                .0
                .run("SET health", write)
                .await
                .err()
                .map(|error| error.to_string());
            let mut result = evaluate_breaker(self.0.breaker_state());
            if let Some(error) = error {
                result.status = HealthStatus::Degraded;
                result.details["error"] = json!(error);
            }
            Ok(result)
        })
    }
}

/// What the payments have seen of the gateway. It is not asked: every call there
/// is about somebody's money.
pub(crate) struct GatewayCheck(pub(crate) Breaker);

impl HealthCheck for GatewayCheck {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async { Ok(evaluate_breaker(self.0.state())) })
    }
}

fn evaluate_breaker(state: BreakerState) -> CheckResult {
    let details = json!({ "breaker": state.as_str() });
    CheckResult::degraded_if(state != BreakerState::Closed, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degraded_unless_breaker_is_closed() {
        let status = |state| evaluate_breaker(state).status;
        assert_eq!(status(BreakerState::Closed), HealthStatus::Healthy);
        assert_eq!(status(BreakerState::HalfOpen), HealthStatus::Degraded);
        assert_eq!(status(BreakerState::Open), HealthStatus::Degraded);
    }
}
