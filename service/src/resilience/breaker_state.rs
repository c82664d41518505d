//! Where a circuit breaker stands, for metrics, logs and health.

/// Where a breaker stands. The numbers are those of `orderly_breaker_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakerState {
    /// Calls pass.
    Closed = 0,
    /// Probes pass.
    HalfOpen = 1,
    /// No call passes.
    Open = 2,
}

impl BreakerState {
    /// For logs and health.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}
