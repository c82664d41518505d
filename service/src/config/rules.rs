//! Waits that lie within other waits.
//!
//! When an outer wait ends first, the inner one can never report what it waited for, or goes on without an owner.

use std::fmt;
use std::time::Duration;

use super::Settings;

/// One wait that must end before (or with) another: their keys and lengths.
pub(super) struct Nesting {
    pub(super) short: (&'static str, Duration),
    pub(super) long: (&'static str, Duration),
    may_be_equal: bool,
}

impl Nesting {
    pub(super) fn holds(&self) -> bool {
        self.short.1 < self.long.1 || (self.may_be_equal && self.short.1 == self.long.1)
    }
}

impl fmt::Display for Nesting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = if self.may_be_equal {
            "not be longer"
        } else {
            "be shorter"
        };
        write!(f, "{} must {relation} than {}", self.short.0, self.long.0)
    }
}

/// All of them. The doc comment of each setting says why.
pub(super) fn nestings(settings: &Settings) -> [Nesting; 4] {
    let Settings {
        orders,
        database,
        payments,
        ..
    } = settings;
    let rule = |short, long| Nesting {
        short,
        long,
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
            ("payments.timeout", payments.timeout),
            ("payments.lease", payments.lease),
        ),
        Nesting {
            may_be_equal: true,
            ..rule(backoff_base, backoff_cap)
        },
    ]
}
