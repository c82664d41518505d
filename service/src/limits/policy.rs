//! What is counted together, and how much of it a client may do.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::RateLimitConfig;

/// Requests that share a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestClass {
    /// Changes nothing.
    Read,
    /// Changes something.
    Write,
    /// Makes an account.
    Register,
    /// Logs in, by client.
    Login,
    /// Logs in, by account.
    LoginAccount,
}

impl RequestClass {
    pub(super) const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Register,
        Self::Login,
        Self::LoginAccount,
    ];

    /// For headers, metrics and keys.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Register => "register",
            Self::Login => "login",
            Self::LoginAccount => "login_account",
        }
    }

    /// Whether passwords are at stake: then rather too few requests than too many.
    pub(crate) fn is_strict(self) -> bool {
        matches!(self, Self::Register | Self::Login | Self::LoginAccount)
    }

    pub(super) fn policy(self, config: &RateLimitConfig) -> Policy {
        let (per_minute, burst) = match self {
            Self::Read => (config.read_per_minute, config.read_burst),
            Self::Write => (config.write_per_minute, config.write_burst),
            Self::Register => (config.register_per_minute, config.register_burst),
            Self::Login => (config.login_per_minute, config.login_burst),
            Self::LoginAccount => (config.login_account_per_minute, config.login_account_burst),
        };
        Policy {
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
            interval: Duration::from_mins(1) / per_minute.max(1),
        }
    }
}

/// How much a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The whole quota: requests at once.
    pub(crate) burst: NonZeroU32,
    /// In this time one request comes back.
    pub(crate) interval: Duration,
}

impl Policy {
    /// How long a used-up quota takes to be whole again.
    pub(crate) fn window(&self) -> Duration {
        self.interval * self.burst.get()
    }

    /// Returns the policy of so many quotas together.
    pub(super) fn multiplied_by(self, share: u32) -> Self {
        let share = NonZeroU32::new(share).unwrap_or(NonZeroU32::MIN);
        Self {
            burst: self.burst.saturating_mul(share),
            interval: self.interval / share.get(),
        }
    }

    /// What one of so many replicas may grant, and at least one request.
    pub(super) fn divided_by(self, replicas: u32) -> Self {
        let replicas = replicas.max(1);
        Self {
            burst: NonZeroU32::new(self.burst.get() / replicas).unwrap_or(NonZeroU32::MIN),
            interval: self.interval * replicas,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(burst: u32, interval_ms: u64) -> Policy {
        Policy {
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
            interval: Duration::from_millis(interval_ms),
        }
    }

    #[test]
    fn quota_returns_at_rate_per_minute() {
        let config = RateLimitConfig {
            read_per_minute: 120,
            read_burst: 30,
            ..RateLimitConfig::default()
        };
        let read = RequestClass::Read.policy(&config);
        assert_eq!(read, policy(30, 500));
        assert_eq!(read.window(), Duration::from_secs(15));
    }

    #[test]
    fn replicas_divide_quota_and_networks_multiply_it() {
        let whole = policy(30, 500);
        assert_eq!(whole.divided_by(3), policy(10, 1500));
        assert_eq!(whole.divided_by(100), policy(1, 50_000), "at least one");
        assert_eq!(whole.divided_by(0), whole);
        assert_eq!(whole.multiplied_by(4), policy(120, 125));
        assert_eq!(whole.multiplied_by(0), whole);
    }

    #[test]
    fn classes_have_own_names_and_passwords_are_strict() {
        let classes = RequestClass::ALL.map(|class| (class.as_str(), class.is_strict()));
        assert_eq!(
            classes,
            [
                ("read", false),
                ("write", false),
                ("register", true),
                ("login", true),
                ("login_account", true),
            ]
        );
    }
}
