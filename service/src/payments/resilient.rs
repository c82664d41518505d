//! The gateway behind its circuit breaker, with retries that it can afford.
//!
//! A provider that is down would cost each payment a whole timeout, and every one
//! of them a try. So when the breaker is open nobody asks: orders are still taken
//! and stay `pending`, and their jobs wait without using up their tries
//! ([`ResilientGateway::available_permits`] tells the worker how many jobs it may lease). A hiccup
//! is mended at once by asking again, as long as the retry budget pays for it;
//! the idempotency key makes that safe.
//!
//! See it break: the drills `gateway_down`, `gateway_slow` and `gateway_flapping`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use prometheus::IntGauge;

use super::{ChargeOutcome, GatewayError, PaymentGateway, RefundOutcome};
use crate::domain::ids::OrderId;
use crate::domain::money::Money;
use crate::resilience::breaker::Breaker;
use crate::resilience::retry::Retry;
use crate::telemetry::metrics::GatewayMetrics;

/// A [`PaymentGateway`] that is not asked when it can't answer. Clones share the
/// breaker and the budget.
#[derive(Clone)]
pub struct ResilientGateway {
    /// Whom to ask.
    pub gateway: PaymentGateway,
    /// Whether to ask.
    pub breaker: Breaker,
    /// How often.
    pub retry: Retry,
    /// Tells how it goes.
    pub metrics: GatewayMetrics,
}

/// Is counted as long as it lives: a call may be dropped before it is answered.
struct InFlightGaugeGuard<'a>(&'a IntGauge);

impl<'a> InFlightGaugeGuard<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlightGaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ResilientGatewayError {
    /// The gateway was not asked, not even once.
    #[error("the gateway's circuit breaker is open")]
    CircuitOpen,
    /// The gateway was asked.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl ResilientGateway {
    /// How many calls the breaker would let through now; `None` means any number.
    pub(crate) fn available_permits(&self) -> Option<u32> {
        self.breaker.available_permits()
    }

    /// Takes the money of an order; see [`PaymentGateway::charge`].
    ///
    /// # Errors
    /// Returns [`ResilientGatewayError::CircuitOpen`] if the breaker is open and the gateway was not
    /// called, and [`ResilientGatewayError::Gateway`] if the last attempt brought no outcome.
    pub async fn charge(
        &self,
        order_id: OrderId,
        amount: Money,
    ) -> Result<ChargeOutcome, ResilientGatewayError> {
        let currency = amount.currency().code();
        let call = || self.gateway.charge(order_id.0, amount.minor(), currency);
        self.call_with_retry("charge", ChargeOutcome::as_str, call)
            .await
    }

    /// Gives the money of an order back; see [`PaymentGateway::refund`].
    ///
    /// # Errors
    /// As [`charge`](Self::charge).
    pub(crate) async fn refund(
        &self,
        order_id: OrderId,
    ) -> Result<RefundOutcome, ResilientGatewayError> {
        let call = || self.gateway.refund(order_id.0);
        self.call_with_retry("refund", RefundOutcome::as_str, call)
            .await
    }

    async fn call_with_retry<T, F>(
        &self,
        operation: &str,
        outcome_label: fn(&T) -> &'static str,
        call: impl Fn() -> F,
    ) -> Result<T, ResilientGatewayError>
    where
        F: Future<Output = Result<T, GatewayError>>,
    {
        // A retry that is rejected must not hide that the first try was made: it
        // may have taken the money.
        let was_called = AtomicBool::new(false);
        let attempt = || async {
            let permit = match self.breaker.try_acquire() {
                Ok(permit) => permit,
                Err(rejection) if was_called.load(Ordering::Relaxed) => {
                    let reason = format!("the first try failed, then {rejection}");
                    return Err(GatewayError::transient(reason).into());
                }
                Err(_) => return Err(ResilientGatewayError::CircuitOpen),
            };
            was_called.store(true, Ordering::Relaxed);
            let began = Instant::now();
            let in_flight = InFlightGaugeGuard::new(&self.metrics.gateway_requests_in_flight);
            let outcome = call().await;
            drop(in_flight);
            let label = match &outcome {
                Ok(outcome) => outcome_label(outcome),
                Err(GatewayError::Permanent { .. }) => "permanent_error",
                Err(GatewayError::Transient { .. }) => "transient_error",
            };
            let duration =
                (self.metrics.gateway_request_duration).with_label_values(&[operation, label]);
            duration.observe(began.elapsed().as_secs_f64());
            match &outcome {
                // "We don't take this request" is an answer, too.
                Ok(_) | Err(GatewayError::Permanent { .. }) => permit.succeed(),
                Err(GatewayError::Transient { .. }) => permit.fail(),
            }
            Ok(outcome?)
        };
        let is_retryable = |error: &ResilientGatewayError| {
            matches!(
                error,
                ResilientGatewayError::Gateway(GatewayError::Transient { .. })
            )
        };
        self.retry.run(attempt, is_retryable).await
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::config::{BreakerConfig, PaymentsConfig};
    use crate::domain::ids::{OrderId, new_v7};
    use crate::resilience::backoff::Backoff;
    use crate::resilience::retry::RetryBudget;
    use crate::telemetry::metrics::Metrics;
    use futures_util::poll;
    use std::time::Duration;
    use tokio::net::TcpListener;

    fn gateway_at(url: String) -> ResilientGateway {
        let config = PaymentsConfig {
            gateway_url: url,
            ..PaymentsConfig::default()
        };
        let opens_immediately = BreakerConfig {
            minimum_calls: 1,
            ..BreakerConfig::default()
        };
        let metrics = Metrics::new().unwrap();
        ResilientGateway {
            gateway: PaymentGateway::new(&config).unwrap(),
            breaker: Breaker::new("test", opens_immediately, metrics.breakers),
            retry: Retry {
                backoff: Backoff {
                    base: Duration::ZERO,
                    cap: Duration::ZERO,
                },
                max_attempts: 2,
                budget: RetryBudget::new(1.0),
                dependency: "gateway",
                retries: metrics.dependencies.retries,
            },
            metrics: metrics.gateway,
        }
    }

    /// `CircuitOpen` gives the job its attempt back, and a charge without tries is deleted
    /// when its order is cancelled: a charge without an order.
    #[tokio::test]
    async fn breaker_opening_before_retry_returns_gateway_error() {
        let gateway = gateway_at("http://127.0.0.1:1".to_owned());
        let order_id = OrderId(new_v7(chrono::Utc::now()));
        let first = gateway.refund(order_id).await;
        assert!(
            matches!(first, Err(ResilientGatewayError::Gateway(_))),
            "{first:?}"
        );
        let second = gateway.refund(order_id).await;
        assert!(
            matches!(second, Err(ResilientGatewayError::CircuitOpen)),
            "{second:?}"
        );
    }

    #[tokio::test]
    async fn in_flight_gauge_counts_until_call_is_dropped() {
        // Connections are made, and nothing is ever answered.
        let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let gateway = gateway_at(format!("http://{}", silent.local_addr().unwrap()));
        let in_flight = || gateway.metrics.gateway_requests_in_flight.get();
        let order_id = OrderId(new_v7(chrono::Utc::now()));
        let mut call = Box::pin(gateway.refund(order_id));
        assert!(poll!(&mut call).is_pending());
        assert_eq!(in_flight(), 1);
        drop(call);
        assert_eq!(in_flight(), 0);
    }
}
