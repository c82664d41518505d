//! The client of the payment gateway.
//!
//! # The problem
//!
//! A charge crosses a network, and the answer can be lost on the way back. The
//! client then cannot tell "never arrived" from "done, and the answer is gone".
//! To give up loses a sale that was paid for; to ask again blindly charges twice.
//!
//! # How it works
//!
//! **The idempotency key is the order id.** An order is paid at most once, so its
//! id names the *intent*, and every attempt for that intent carries the same name:
//! a retry of this call, a job that starts over after a crash, two replicas that
//! race. The gateway remembers the key and gives the first answer again. A random
//! key made for each call would protect only the retries inside that call, and
//! would be lost with the process. A refund is another intent: `refund-<order id>`.
//! (The header: IETF draft `idempotency-key-header`.)
//!
//! **An outcome has three values**: yes, no, and unknown. [`ChargeOutcome`] is a yes or a no that the
//! gateway's response states. Everything else is a [`GatewayError`], and a *transient* one means that the
//! outcome is unknown: the order is not settled, and the request is retried with the same key.
//! `response.rs` decides whether a response is the gateway's.
//!
//! **Requests run on the runtime that made the client.** A pooled connection is
//! driven by a task on the runtime that opened it; had an actix worker opened it,
//! a busy worker would stall everyone who borrows that connection.
//!
//! The client does not retry and has no breaker: those belong to the caller, who
//! knows how long the order may wait.
//!
//! # How to watch it break
//!
//! `service/tests/gateway`: `retry_finds_charge_whose_response_was_lost`
//! and, for the runtimes, `blocked_runtime_does_not_stall_other_callers`.

use std::time::Duration;

use reqwest::{Url, redirect};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use uuid::Uuid;

use super::gateway_span;
use super::outcome::{ChargeOutcome, GatewayError, GatewaySetupError, RefundOutcome};
use super::response::{GatewayDecision, GatewayResponse};
use crate::config::PaymentsConfig;
use crate::resilience::deadline;

/// A payment gateway, reached over one pool of connections. Cloning is cheap and
/// shares the pool.
#[derive(Debug, Clone)]
pub struct PaymentGateway {
    http: reqwest::Client,
    timeout: Duration,
    charges_url: Url,
    refunds_url: Url,
    runtime: Handle,
}

#[derive(Serialize)]
struct ChargeBody<'a> {
    reference: Uuid,
    amount_minor: i64,
    currency: &'a str,
}

#[derive(Serialize)]
struct RefundBody {
    reference: Uuid,
}

impl PaymentGateway {
    /// A client of the gateway at `payments.gateway_url`, with its timeouts: for the TCP
    /// and TLS handshakes, for a silence, and for a whole request from connecting to the
    /// last byte. It speaks HTTP/2 where TLS negotiates it.
    ///
    /// # Errors
    ///
    /// Returns [`GatewaySetupError`] if the URL is unusable, if the HTTP client cannot be built, or if
    /// there is no Tokio runtime.
    pub fn new(config: &PaymentsConfig) -> Result<Self, GatewaySetupError> {
        let base_url = &config.gateway_url;
        let http = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.read_timeout)
            .timeout(config.timeout)
            .pool_max_idle_per_host(config.max_idle_connections)
            .pool_idle_timeout(config.idle_timeout)
            // A payment goes where the configuration says, and nowhere else.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            charges_url: endpoint_url(base_url, "charges")?,
            refunds_url: endpoint_url(base_url, "refunds")?,
            runtime: Handle::try_current()?,
            timeout: config.timeout,
        })
    }

    /// Takes `amount_minor` (cents, for EUR) for an order. Repeating the call for the
    /// same order and amount gives the first outcome again and moves no more money.
    ///
    /// # Errors
    ///
    /// Returns [`GatewayError::Transient`] if the outcome is unknown, and
    /// [`GatewayError::Permanent`] if the gateway rejects the request as it is; see the table of
    /// `response.rs`.
    pub async fn charge(
        &self,
        order_id: Uuid,
        amount_minor: i64,
        currency: &str,
    ) -> Result<ChargeOutcome, GatewayError> {
        let body = ChargeBody {
            reference: order_id,
            amount_minor,
            currency,
        };
        let response = self
            .post(&self.charges_url, order_id.to_string(), &body)
            .await?;
        match (response.status, response.decision(&order_id.to_string())) {
            (
                200..=299,
                Some(GatewayDecision::Succeeded {
                    id,
                    amount_minor: charged_minor,
                    currency: charged_currency,
                    ..
                }),
            ) if (charged_minor, &*charged_currency) == (amount_minor, currency)
                && !id.is_empty() =>
            {
                Ok(ChargeOutcome::Charged { charge_id: id })
            }
            (402, Some(GatewayDecision::Declined { reason, .. })) => {
                Ok(ChargeOutcome::Declined { reason })
            }
            (409, Some(GatewayDecision::Voided { .. })) => Ok(ChargeOutcome::Voided),
            _ => Err(response.into_error()),
        }
    }

    /// Gives back whatever was charged for an order, or makes sure that nothing will be.
    /// Repeating the call changes nothing.
    ///
    /// # Errors
    ///
    /// Returns [`GatewayError::Transient`] if the outcome is unknown, and
    /// [`GatewayError::Permanent`] if the gateway rejects the request as it is; see the table of
    /// `response.rs`.
    pub async fn refund(&self, order_id: Uuid) -> Result<RefundOutcome, GatewayError> {
        let body = RefundBody {
            reference: order_id,
        };
        let response = self
            .post(&self.refunds_url, format!("refund-{order_id}"), &body)
            .await?;
        match (response.status, response.decision(&order_id.to_string())) {
            (200..=299, Some(GatewayDecision::Refunded { charge_id, .. })) => {
                Ok(RefundOutcome::Refunded { charge_id })
            }
            (200..=299, Some(GatewayDecision::Voided { .. })) => Ok(RefundOutcome::Voided),
            _ => Err(response.into_error()),
        }
    }

    async fn post(
        &self,
        url: &Url,
        key: String,
        body: &impl Serialize,
    ) -> Result<GatewayResponse, GatewayError> {
        let span = gateway_span::span(url);
        let mut request = self
            .http
            .post(url.clone())
            .headers(gateway_span::headers(&span))
            .header("idempotency-key", key)
            .json(body);
        if let Some(remaining) = deadline::remaining() {
            request = request.timeout(remaining.min(self.timeout));
        }
        let exchange = async { GatewayResponse::read(request.send().await?).await };
        let task = self.runtime.spawn(exchange.instrument(span.clone()));
        // A caller that goes away takes its request along.
        let response = match AbortOnDropHandle::new(task).await {
            Ok(response) => response.map_err(GatewayError::from),
            Err(error) => Err(GatewayError::transient(format!(
                "the request was cut off: {error}"
            ))),
        };
        let status = response.as_ref().map(|response| response.status);
        gateway_span::record_result(&span, status);
        response
    }
}

fn endpoint_url(base_url: &str, name: &str) -> Result<Url, GatewaySetupError> {
    let mut url =
        Url::parse(base_url).map_err(|error| GatewaySetupError::Url(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(GatewaySetupError::Url(
            "it is neither http nor https".to_owned(),
        ));
    }
    url.path_segments_mut()
        .map_err(|()| GatewaySetupError::Url("it has no path".to_owned()))?
        .pop_if_empty()
        .push(name);
    Ok(url)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn request_times_out_at_deadline() {
        // Connections are made, and nothing is ever answered.
        let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let config = PaymentsConfig {
            gateway_url: format!("http://{}", silent.local_addr().unwrap()),
            ..PaymentsConfig::default()
        };
        let gateway = PaymentGateway::new(&config).unwrap();
        let (began, limit) = (Instant::now(), Duration::from_millis(100));
        let refund = gateway.refund(Uuid::now_v7());
        let result = deadline::with_unenforced_deadline(began + limit, refund).await;
        assert!(result.unwrap_err().is_transient());
        assert!(began.elapsed() < 2 * limit, "{:?}", began.elapsed());
    }
}
