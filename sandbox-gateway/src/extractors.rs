//! Checks of a request before its handler: the idempotency key and the peer.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest};

use crate::error::GatewayError;

/// Longest key, as with the most generous real providers.
const MAX_KEY_CHARS: usize = 255;

/// The required `Idempotency-Key` header.
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromRequest for IdempotencyKey {
    type Error = GatewayError;
    type Future = Ready<Result<Self, GatewayError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = request
            .headers()
            .get("idempotency-key")
            .and_then(|value| value.to_str().ok())
            .filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len()));
        ready(key.map(|key| Self(key.to_owned())).ok_or_else(|| {
            GatewayError::new(
                StatusCode::BAD_REQUEST,
                format!("send an Idempotency-Key header of 1 to {MAX_KEY_CHARS} ASCII characters"),
            )
        }))
    }
}

/// Proof that the request comes from this machine. Clients on other machines may pay, but neither
/// set faults nor read the payments of others.
#[derive(Debug)]
pub(crate) struct LoopbackPeer;

impl FromRequest for LoopbackPeer {
    type Error = GatewayError;
    type Future = Ready<Result<Self, GatewayError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let is_local = request
            .peer_addr()
            .is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        ready(if is_local {
            Ok(Self)
        } else {
            Err(GatewayError::new(
                StatusCode::FORBIDDEN,
                "only requests over the loopback address of the gateway's machine are accepted",
            ))
        })
    }
}
