//! The ways in which the sandbox fails on command.
//!
//! Each fault is one that a real provider has shown its clients. A rate is the share
//! of requests it strikes, from 0 to 1, drawn anew for each request; a request can be
//! struck by one fault only, and they are drawn in the order of the fields. The
//! latency comes on top, and comes first.

use std::future::{Future, pending};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use super::tcp_reset::reset_connection;

/// More than this is what `hang_rate` is for.
const MAX_LATENCY_MS: u64 = 60_000;

/// The faults in force, and the body of `PUT /faults`. What is left out is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Faults {
    /// Waits this long before anything else, in milliseconds.
    latency_ms: u64,
    /// Never answers, until the client goes away.
    hang_rate: f64,
    /// Answers 503 and does nothing.
    error_rate: f64,
    /// Resets the TCP connection and does nothing.
    reset_rate: f64,
    /// Does what was asked, then resets the connection instead of answering. The nasty
    /// one: the client cannot know, and must ask again.
    charge_then_reset_rate: f64,
    /// Declines a charge, for lack of money.
    decline_rate: f64,
    /// Declines every charge above this amount, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_above_minor: Option<i64>,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaultAction {
    Respond,
    Hang,
    Error,
    Reset,
    ProcessThenReset,
}

impl Faults {
    /// Whether every value makes sense; if not, what is wrong.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.latency_ms > MAX_LATENCY_MS {
            return Err(format!(
                "latency_ms must be from 0 to {MAX_LATENCY_MS}, got {}",
                self.latency_ms
            ));
        }
        let rates = [
            ("hang_rate", self.hang_rate),
            ("error_rate", self.error_rate),
            ("reset_rate", self.reset_rate),
            ("charge_then_reset_rate", self.charge_then_reset_rate),
            ("decline_rate", self.decline_rate),
        ];
        for (name, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("{name} must be from 0 to 1, got {rate}"));
            }
        }
        match self.decline_above_minor {
            Some(limit) if limit < 0 => Err(format!(
                "decline_above_minor must not be negative, got {limit}"
            )),
            _ => Ok(()),
        }
    }

    /// Decides whether `operation` runs, and whether the client receives its response.
    pub(super) async fn apply(
        self,
        request: &HttpRequest,
        operation: impl Future<Output = Result<HttpResponse, SandboxError>>,
    ) -> Result<HttpResponse, SandboxError> {
        tokio::time::sleep(Duration::from_millis(self.latency_ms)).await;
        match self.sample() {
            FaultAction::Respond => operation.await,
            FaultAction::Hang => pending().await,
            FaultAction::Error => Err(SandboxError::unavailable("error_rate struck")),
            FaultAction::Reset => Ok(reset_connection(request)),
            FaultAction::ProcessThenReset => {
                operation.await?;
                Ok(reset_connection(request))
            }
        }
    }

    /// Draws the fault of one request.
    fn sample(&self) -> FaultAction {
        let actions = [
            (self.hang_rate, FaultAction::Hang),
            (self.error_rate, FaultAction::Error),
            (self.reset_rate, FaultAction::Reset),
            (self.charge_then_reset_rate, FaultAction::ProcessThenReset),
        ];
        actions
            .into_iter()
            .find(|&(rate, _)| rand::random_bool(rate))
            .map_or(FaultAction::Respond, |(_, action)| action)
    }

    /// Draws whether a charge of this amount is declined.
    pub(super) fn should_decline(&self, amount_minor: i64) -> bool {
        self.decline_above_minor
            .is_some_and(|limit| amount_minor > limit)
            || rand::random_bool(self.decline_rate)
    }
}
