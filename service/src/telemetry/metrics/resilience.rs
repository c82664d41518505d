//! What protects the service from others, and others from it.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::constructors::{counter, counter_vec, gauge, gauge_vec};

/// What the circuit breakers show of themselves, by the label `breaker`: gateway or
/// redis.
#[derive(Clone)]
pub struct BreakerMetrics {
    /// `orderly_breaker_state`: 0 closed, 1 half-open, 2 open.
    pub(crate) state: IntGaugeVec,
    /// `orderly_breaker_calls_total{outcome}`: success, failure, slow or rejected.
    pub(crate) calls: IntCounterVec,
}

/// What the limit on requests in flight shows of itself.
#[derive(Clone)]
pub struct InFlightMetrics {
    /// `orderly_requests_in_flight`
    pub(crate) in_flight: IntGauge,
    /// `orderly_requests_in_flight_limit`
    pub(crate) limit: IntGauge,
    /// `orderly_requests_shed_total`
    pub(crate) shed: IntCounter,
}

/// What the rate limits show of themselves.
#[derive(Clone)]
pub struct RateLimitMetrics {
    /// `orderly_requests_rate_limited_total{class}`: requests rejected.
    pub(crate) rejected: IntCounterVec,
    /// `orderly_rate_limit_decisions_total{source}`: who decided, redis or local.
    pub(crate) decisions: IntCounterVec,
    /// `orderly_rate_limit_keys{class}`: clients that this process counts.
    pub(crate) keys: IntGaugeVec,
}

impl BreakerMetrics {
    /// Makes them unregistered.
    ///
    /// # Errors
    /// Returns an error if a metric name is invalid, which would be a bug.
    pub fn new() -> Result<Self> {
        Ok(Self {
            state: gauge_vec(
                "breaker_state",
                "Circuit breaker (gateway, redis): 0 closed, 1 half-open, 2 open",
                &["breaker"],
            )?,
            calls: counter_vec(
                "breaker_calls",
                "Calls through a circuit breaker by outcome: success, failure, slow, rejected",
                &["breaker", "outcome"],
            )?,
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.state.clone()), Box::new(self.calls.clone())]
    }
}

impl InFlightMetrics {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            in_flight: gauge("requests_in_flight", "Requests being answered")?,
            limit: gauge(
                "requests_in_flight_limit",
                "How many requests may be answered at once before others are shed",
            )?,
            shed: counter("requests_shed", "Requests rejected because of overload")?,
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.in_flight.clone()),
            Box::new(self.limit.clone()),
            Box::new(self.shed.clone()),
        ]
    }
}

impl RateLimitMetrics {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            rejected: counter_vec(
                "requests_rate_limited",
                "Requests over a rate limit, by class: read, write, register, login, login_account",
                &["class"],
            )?,
            decisions: counter_vec(
                "rate_limit_decisions",
                "Rate limit decisions by who made them: redis or local",
                &["source"],
            )?,
            keys: gauge_vec(
                "rate_limit_keys",
                "Clients counted in this process, by class",
                &["class"],
            )?,
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.rejected.clone()),
            Box::new(self.decisions.clone()),
            Box::new(self.keys.clone()),
        ]
    }
}

/// `orderly_retries_total{dependency,outcome}`: outcomes of attempts that failed and may be retried.
///
/// # Errors
/// Returns an error if the metric name is invalid, which would be a bug.
pub fn retries() -> Result<IntCounterVec> {
    let retries = counter_vec(
        "retries",
        "Failures that may be retried, by dependency (database, gateway) and outcome: retried (it was \
         tried again), budget_exhausted, deadline_exceeded (it would not fit the deadline)",
        &["dependency", "outcome"],
    )?;
    // From the start, so that a rate over the first one is right.
    for dependency in ["database", "gateway"] {
        for outcome in ["retried", "budget_exhausted", "deadline_exceeded"] {
            retries.with_label_values(&[dependency, outcome]);
        }
    }
    Ok(retries)
}
