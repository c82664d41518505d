//! Calls of dependencies: the payment gateway and Redis.

use prometheus::core::Collector;
use prometheus::{HistogramVec, IntGauge, Result};

use super::constructors::{duration_histogram_vec, gauge};

/// What calls of the payment gateway show of themselves.
#[derive(Clone)]
pub struct GatewayMetrics {
    /// `orderly_gateway_request_duration_seconds{operation,outcome}`: each call.
    pub(crate) duration: HistogramVec,
    /// `orderly_gateway_requests_in_flight`
    pub(crate) in_flight: IntGauge,
}

impl GatewayMetrics {
    /// Makes them unregistered.
    ///
    /// # Errors
    /// Returns an error if a metric name is invalid, which would be a bug.
    pub fn new() -> Result<Self> {
        Ok(Self {
            duration: duration_histogram_vec(
                "gateway_request_duration",
                "Calls of the payment gateway, each attempt by itself, by operation (charge, refund) and \
                 outcome: charged, declined, voided, refunded, transient_error (result unknown), permanent_error \
                 (it does not accept the request)",
                &["operation", "outcome"],
                &[
                    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
                ],
            )?,
            in_flight: gauge(
                "gateway_requests_in_flight",
                "Calls of the payment gateway that wait for its answer",
            )?,
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.duration.clone()),
            Box::new(self.in_flight.clone()),
        ]
    }
}

/// `orderly_redis_command_duration_seconds{command}`: how long each was waited for.
///
/// # Errors
/// Returns an error if the metric name is invalid, which would be a bug.
pub fn redis_latency() -> Result<HistogramVec> {
    duration_histogram_vec(
        "redis_command_duration",
        "Time until Redis answered, or the command timed out, by command; what the breaker rejects is not in it",
        &["command"],
        &[
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
        ],
    )
}
