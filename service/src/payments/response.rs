//! Decides whether a response is the gateway's, and what it says.
//!
//! # Problem
//!
//! The address of the gateway may lead to another server: a captive portal that returns 200 with a page, a proxy that
//! returns 401, a load balancer without backends, an API of another kind. An order that is settled on such a response
//! is shipped without a payment, or fails although its customer can pay.
//!
//! # How it works
//!
//! A response counts only if it is of the gateway's contract: JSON of the expected shape, with the status that belongs
//! to it, and about the same order, amount and currency as the request. The contract has two kinds of responses:
//!
//! | response | taken as |
//! |---|---|
//! | 2xx `succeeded`, 402 `declined`, 409 `voided`; to a refund 2xx `refunded` or `voided` | the outcome |
//! | 400, 413, 415 or 422 with an `error` and no other field | permanent: the gateway rejects the request |
//!
//! Every other response leaves the outcome unknown ([`GatewayError::Transient`]): the request is retried with the same
//! key, the breaker counts a failure, and the job is dead-lettered with the reason once its attempts and its time are
//! used up. That includes 401, 403, 404 and redirects, also with an `error`: they are about the address or the
//! credentials, and the next order would get the same response.
//!
//! # Tests
//!
//! `service/tests/gateway/responses.rs`: `responses_of_other_servers_are_transient`.

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use super::outcome::GatewayError;

/// Longest body that is read; a response of the gateway has a few hundred bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Longest part of an error's text that is kept.
const MAX_DETAIL_CHARS: usize = 200;

/// The outcomes of the contract.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(super) enum GatewayDecision {
    Succeeded {
        id: String,
        reference: String,
        amount_minor: i64,
        currency: String,
    },
    Declined {
        reason: String,
        reference: Option<String>,
    },
    Refunded {
        charge_id: String,
        reference: String,
    },
    Voided {
        reference: Option<String>,
    },
}

/// The error document of the contract.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorDocument {
    error: String,
}

/// A response that may be the gateway's.
pub(super) struct GatewayResponse {
    pub(super) status: u16,
    content_type: Option<String>,
    body: Vec<u8>,
}

impl GatewayDecision {
    /// Returns `true` if the decision is about that order, as far as it says.
    pub(super) fn is_about(&self, order: &str) -> bool {
        match self {
            Self::Succeeded { reference, .. } | Self::Refunded { reference, .. } => {
                reference == order
            }
            Self::Declined { reference, .. } | Self::Voided { reference } => reference
                .as_ref()
                .is_none_or(|reference| reference == order),
        }
    }
}

impl GatewayResponse {
    /// Reads the body up to its longest valid length.
    ///
    /// # Errors
    /// Returns an error if the connection breaks or a timeout ends the read.
    pub(super) async fn read(mut response: Response) -> Result<Self, reqwest::Error> {
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type =
            content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            let remaining = MAX_RESPONSE_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(remaining)]);
            if chunk.len() > remaining {
                break;
            }
        }
        Ok(Self {
            status,
            content_type,
            body,
        })
    }

    /// Returns the decision about that order, if the response has one.
    pub(super) fn decision(&self, order: &str) -> Option<GatewayDecision> {
        let decision: GatewayDecision = self.parse()?;
        decision.is_about(order).then_some(decision)
    }

    /// Returns the error of a response that is no outcome.
    pub(super) fn into_error(self) -> GatewayError {
        let status = self.status;
        match (status, self.parse::<ErrorDocument>()) {
            (400 | 413 | 415 | 422, Some(document)) => GatewayError::Permanent {
                status,
                detail: document.error.chars().take(MAX_DETAIL_CHARS).collect(),
            },
            (408 | 425 | 429 | 500..=599, _) => GatewayError::transient(format!("status {status}")),
            (401 | 403, Some(document)) => GatewayError::transient(format!(
                "status {status}, the credentials were rejected: {}",
                document
                    .error
                    .chars()
                    .take(MAX_DETAIL_CHARS)
                    .collect::<String>()
            )),
            _ => self.unexpected_response_error(),
        }
    }

    /// Names the status and the media type of the response, and no part of its body: it may be a page of any length.
    pub(super) fn unexpected_response_error(&self) -> GatewayError {
        let content_type = self.content_type.as_deref().unwrap_or("no media type");
        let content_type: String = content_type.chars().take(60).collect();
        GatewayError::transient(format!(
            "status {} ({content_type}) is no response of the gateway's contract, another server may have sent it",
            self.status
        ))
    }

    /// Parses a JSON body. A media type other than JSON is a sign of another server.
    fn parse<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        let is_json = self.content_type.as_deref().is_none_or(is_json);
        is_json
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}
