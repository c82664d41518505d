//! Waits that lie within other waits.
//!
//! When an outer wait ends first, the inner one can never report what it waited for, or goes on without an owner.

use std::fmt;
use std::time::Duration;

use super::Settings;

/// A wait with its key.
type NamedDuration = (&'static str, Duration);

/// Waits, one after the other, that must end before (or with) another one.
pub(super) struct TimeoutConstraint {
    pub(super) inner: Vec<NamedDuration>,
    pub(super) outer: NamedDuration,
    allows_equal: bool,
}

impl TimeoutConstraint {
    pub(super) fn is_satisfied(&self) -> bool {
        let inner_total: Duration = self.inner.iter().map(|(_, duration)| duration).sum();
        inner_total < self.outer.1 || (self.allows_equal && inner_total == self.outer.1)
    }

    /// What is better otherwise, with the values.
    fn warning(&self) -> String {
        let durations = self.inner.iter().chain([&self.outer]);
        let values: Vec<String> = durations
            .map(|(key, duration)| format!("{key} = {duration:?}"))
            .collect();
        format!("{}: {}", values.join(", "), self.describe("should"))
    }

    fn describe(&self, modal: &str) -> String {
        let relation = if self.allows_equal {
            "not be longer"
        } else {
            "be shorter"
        };
        let inner_keys: Vec<&str> = self.inner.iter().map(|(key, _)| *key).collect();
        format!(
            "{} {modal} {relation} than {}",
            inner_keys.join(" + "),
            self.outer.0
        )
    }
}

impl fmt::Display for TimeoutConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe("must"))
    }
}

fn shorter(short: NamedDuration, long: NamedDuration) -> TimeoutConstraint {
    TimeoutConstraint {
        inner: vec![short],
        outer: long,
        allows_equal: false,
    }
}

fn at_most(short: NamedDuration, long: NamedDuration) -> TimeoutConstraint {
    TimeoutConstraint {
        allows_equal: true,
        ..shorter(short, long)
    }
}

/// All that must hold. The doc comment of each setting says why.
pub(super) fn required_constraints(settings: &Settings) -> [TimeoutConstraint; 15] {
    let Settings {
        orders,
        database,
        redis,
        payments,
        payment_jobs,
        order_expiry_jobs,
        breaker,
        retry,
        cache,
        shutdown,
        ..
    } = settings;
    let lock_timeout = ("database.lock_timeout", database.lock_timeout);
    let statement_timeout = ("database.statement_timeout", database.statement_timeout);
    let payment_timeout = ("payments.timeout", payments.timeout);
    let slow_call = (
        "breaker.slow_call_duration_threshold",
        breaker.slow_call_duration_threshold,
    );
    let ttl = ("cache.ttl", cache.ttl);
    [
        shorter(
            (
                "orders.idempotency_wait_timeout",
                orders.idempotency_wait_timeout,
            ),
            lock_timeout,
        ),
        shorter(lock_timeout, statement_timeout),
        shorter(
            statement_timeout,
            ("database.tcp_user_timeout", database.tcp_user_timeout),
        ),
        shorter(
            (
                "http.slow_request_threshold",
                settings.http.slow_request_threshold,
            ),
            ("http.request_timeout", settings.http.request_timeout),
        ),
        shorter(
            (
                "breaker.redis_slow_call_duration_threshold",
                breaker.redis_slow_call_duration_threshold,
            ),
            ("redis.response_timeout", redis.response_timeout),
        ),
        shorter(slow_call, payment_timeout),
        shorter(slow_call, ("payments.read_timeout", payments.read_timeout)),
        TimeoutConstraint {
            inner: vec![payment_timeout; retry.max_attempts.max(1) as usize],
            outer: ("payment_jobs.lease_duration", payment_jobs.lease_duration),
            allows_equal: false,
        },
        at_most(
            ("payment_jobs.backoff_base", payment_jobs.backoff_base),
            ("payment_jobs.backoff_cap", payment_jobs.backoff_cap),
        ),
        at_most(
            (
                "order_expiry_jobs.backoff_base",
                order_expiry_jobs.backoff_base,
            ),
            (
                "order_expiry_jobs.backoff_cap",
                order_expiry_jobs.backoff_cap,
            ),
        ),
        at_most(
            ("retry.backoff_base", retry.backoff_base),
            ("retry.backoff_cap", retry.backoff_cap),
        ),
        at_most(
            ("redis.backoff_base", redis.backoff_base),
            ("redis.backoff_cap", redis.backoff_cap),
        ),
        at_most(("cache.local_ttl", cache.local_ttl), ttl),
        at_most(("cache.negative_ttl", cache.negative_ttl), ttl),
        TimeoutConstraint {
            inner: vec![
                ("shutdown.drain_delay", shutdown.drain_delay),
                ("shutdown.drain_timeout", shutdown.drain_timeout),
                ("shutdown.jobs_timeout", shutdown.jobs_timeout),
                ("shutdown.pools_timeout", shutdown.pools_timeout),
                ("shutdown.telemetry_timeout", shutdown.telemetry_timeout),
            ],
            outer: ("shutdown.grace_period", shutdown.grace_period),
            allows_equal: true,
        },
    ]
}

/// What is allowed, but better otherwise: sentences for the log of the start.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let violated = recommended_constraints(settings)
        .into_iter()
        .filter(|constraint| !constraint.is_satisfied());
    violated.map(|constraint| constraint.warning()).collect()
}

/// What should hold, but somebody may have a reason against it: the service works without, only less well.
fn recommended_constraints(settings: &Settings) -> [TimeoutConstraint; 2] {
    let request_timeout = ("http.request_timeout", settings.http.request_timeout);
    [
        shorter(
            (
                "database.statement_timeout",
                settings.database.statement_timeout,
            ),
            request_timeout,
        ),
        shorter(
            request_timeout,
            ("shutdown.drain_timeout", settings.shutdown.drain_timeout),
        ),
    ]
}
