//! Faults that the gateway injects on command.
//!
//! Each fault is one that a real provider has shown its clients. A rate is the share of requests
//! that the fault affects, from 0 to 1, sampled for each request. The faults are sampled in the
//! order of the fields, and the first one that is drawn decides. The latency precedes all of them.

use std::future::{Future, pending};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use crate::error::GatewayError;
use crate::tcp_reset::reset_connection;

/// Longest latency; `hang_rate` is for requests that never end.
const MAX_LATENCY_MS: u64 = 60_000;

/// Active faults, and the body of `PUT /faults`. An omitted fault is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    /// Delay before anything else, in milliseconds, 0 to 60000.
    latency_ms: u64,
    /// Share of requests that get no response until the client disconnects.
    hang_rate: f64,
    /// Share of requests that get a 503 and have no effect.
    error_rate: f64,
    /// Share of requests that have no effect and whose TCP connection is reset.
    reset_rate: f64,
    /// Share of requests that take effect and whose connection is reset instead of a response: the
    /// client cannot know the outcome and must retry.
    charge_then_reset_rate: f64,
    /// Share of charges that are declined for insufficient funds.
    decline_rate: f64,
    /// Amount in minor units above which every charge is declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_above_minor: Option<i64>,
}

/// Fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaultAction {
    Respond,
    Hang,
    Error,
    Reset,
    ProcessThenReset,
}

impl Faults {
    /// Checks the range of every value.
    ///
    /// # Errors
    /// Returns a message that names the first value out of range.
    pub(crate) fn validate(&self) -> Result<(), String> {
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

    /// Samples a fault, and runs `operation` unless the fault prevents it.
    pub(crate) async fn apply(
        self,
        request: &HttpRequest,
        operation: impl Future<Output = Result<HttpResponse, GatewayError>>,
    ) -> Result<HttpResponse, GatewayError> {
        tokio::time::sleep(Duration::from_millis(self.latency_ms)).await;
        match self.sample() {
            FaultAction::Respond => operation.await,
            FaultAction::Hang => pending().await,
            FaultAction::Error => Err(GatewayError::unavailable("the fault error_rate was drawn")),
            FaultAction::Reset => Ok(reset_connection(request)),
            FaultAction::ProcessThenReset => {
                operation.await?;
                Ok(reset_connection(request))
            }
        }
    }

    /// Samples the fault of one request.
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

    /// Samples whether a charge of this amount is declined.
    pub(crate) fn should_decline(&self, amount_minor: i64) -> bool {
        self.decline_above_minor
            .is_some_and(|limit| amount_minor > limit)
            || rand::random_bool(self.decline_rate)
    }
}
