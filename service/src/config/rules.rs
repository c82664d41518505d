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
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = if self.may_be_equal {
            "not be longer"
        } else {
            "be shorter"
        };
        let parts: Vec<&str> = self.parts.iter().map(|(key, _)| *key).collect();
        write!(
            f,
            "{} must {relation} than {}",
            parts.join(" + "),
            self.whole.0
        )
    }
}

/// All of them. The doc comment of each setting says why.
pub(super) fn rules(settings: &Settings) -> [Rule; 8] {
    let Settings {
        orders,
        database,
        payments,
        shutdown,
        ..
    } = settings;
    let rule = |short, long| Rule {
        parts: vec![short],
        whole: long,
        may_be_equal: false,
    };
    let lock_timeout = ("database.lock_timeout", database.lock_timeout);
    let backoff_base = ("payments.backoff_base", payments.backoff_base);
    let backoff_cap = ("payments.backoff_cap", payments.backoff_cap);
    [
        rule(
            ("orders.idempotency_wait", orders.idempotency_wait),
            lock_timeout,
        ),
        rule(
            lock_timeout,
            ("database.statement_timeout", database.statement_timeout),
        ),
        rule(
            ("database.statement_timeout", database.statement_timeout),
            ("database.tcp_user_timeout", database.tcp_user_timeout),
        ),
        rule(
            ("http.slow_request", settings.http.slow_request),
            ("http.request_timeout", settings.http.request_timeout),
        ),
        rule(
            ("breaker.redis_slow_call", settings.breaker.redis_slow_call),
            ("redis.response_timeout", settings.redis.response_timeout),
        ),
        Rule {
            parts: vec![
                ("payments.timeout", payments.timeout);
                settings.retry.attempts.max(1) as usize
            ],
            whole: ("payments.lease", payments.lease),
            may_be_equal: false,
        },
        Rule {
            may_be_equal: true,
            ..rule(backoff_base, backoff_cap)
        },
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
