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
