//! Waits that lie within other waits.
//!
//! When an outer wait ends first, the inner one can never report what it waited for, or goes on without an owner.

use std::fmt;
use std::time::Duration;

use super::Settings;

/// A wait with its key.
pub(super) type Wait = (&'static str, Duration);

/// Waits, one after the other, that must end before (or with) another one.
pub(super) struct Rule {
    pub(super) parts: Vec<Wait>,
    pub(super) whole: Wait,
    may_be_equal: bool,
}

impl Rule {
    pub(super) fn holds(&self) -> bool {
        let parts: Duration = self.parts.iter().map(|(_, wait)| wait).sum();
        parts < self.whole.1 || (self.may_be_equal && parts == self.whole.1)
    }

    /// What is better otherwise, with the values.
    pub(super) fn advice(&self) -> String {
        let waits = self.parts.iter().chain([&self.whole]);
        let values: Vec<String> = waits
            .map(|(key, wait)| format!("{key} = {wait:?}"))
            .collect();
        format!("{}: {}", values.join(", "), self.says("should"))
    }

    fn says(&self, modal: &str) -> String {
        let relation = if self.may_be_equal {
            "not be longer"
        } else {
            "be shorter"
        };
        let parts: Vec<&str> = self.parts.iter().map(|(key, _)| *key).collect();
        format!(
            "{} {modal} {relation} than {}",
            parts.join(" + "),
            self.whole.0
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says("must"))
    }
}

fn shorter(short: Wait, long: Wait) -> Rule {
    Rule {
        parts: vec![short],
        whole: long,
        may_be_equal: false,
    }
}

fn at_most(short: Wait, long: Wait) -> Rule {
    Rule {
        may_be_equal: true,
        ..shorter(short, long)
    }
}

/// All that must hold. The doc comment of each setting says why.
pub(super) fn rules(settings: &Settings) -> [Rule; 14] {
    let Settings {
        orders,
        database,
        redis,
        payments,
        breaker,
        retry,
        cache,
        shutdown,
        ..
    } = settings;
    let lock_timeout = ("database.lock_timeout", database.lock_timeout);
    let statement_timeout = ("database.statement_timeout", database.statement_timeout);
    let payment = ("payments.timeout", payments.timeout);
    let slow_call = ("breaker.slow_call", breaker.slow_call);
    let ttl = ("cache.ttl", cache.ttl);
    [
        shorter(
            ("orders.idempotency_wait", orders.idempotency_wait),
            lock_timeout,
        ),
        shorter(lock_timeout, statement_timeout),
        shorter(
            statement_timeout,
            ("database.tcp_user_timeout", database.tcp_user_timeout),
        ),
        shorter(
            ("http.slow_request", settings.http.slow_request),
            ("http.request_timeout", settings.http.request_timeout),
        ),
        shorter(
            ("breaker.redis_slow_call", breaker.redis_slow_call),
            ("redis.response_timeout", redis.response_timeout),
        ),
        shorter(slow_call, payment),
        shorter(slow_call, ("payments.read_timeout", payments.read_timeout)),
        Rule {
            parts: vec![payment; retry.attempts.max(1) as usize],
            whole: ("payments.lease", payments.lease),
            may_be_equal: false,
        },
        at_most(
            ("payments.backoff_base", payments.backoff_base),
            ("payments.backoff_cap", payments.backoff_cap),
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
        Rule {
            parts: vec![
                ("shutdown.drain_delay", shutdown.drain_delay),
                ("shutdown.drain", shutdown.drain),
                ("shutdown.jobs", shutdown.jobs),
                ("shutdown.pools", shutdown.pools),
                ("shutdown.telemetry", shutdown.telemetry),
            ],
            whole: ("shutdown.grace_period", shutdown.grace_period),
            may_be_equal: true,
        },
    ]
}

/// What should hold, but somebody may have a reason against it: the service works without, only less well.
pub(super) fn advice(settings: &Settings) -> [Rule; 2] {
    let request_timeout = ("http.request_timeout", settings.http.request_timeout);
    [
        shorter(
            (
                "database.statement_timeout",
                settings.database.statement_timeout,
            ),
            request_timeout,
        ),
        shorter(request_timeout, ("shutdown.drain", settings.shutdown.drain)),
    ]
}
