//! The checks of a request before its handler: the idempotency key, and where it comes from.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest};

use super::error::SandboxError;

/// As long as the widest keys of real providers.
const MAX_KEY_CHARS: usize = 255;

/// The required `Idempotency-Key` header.
pub(super) struct SandboxIdempotencyKey(String);

impl SandboxIdempotencyKey {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromRequest for SandboxIdempotencyKey {
    type Error = SandboxError;
    type Future = Ready<Result<Self, SandboxError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = request
            .headers()
            .get("idempotency-key")
            .and_then(|value| value.to_str().ok())
            .filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len()));
        ready(key.map(|key| Self(key.to_owned())).ok_or_else(|| {
            SandboxError::new(
                StatusCode::BAD_REQUEST,
                format!("send an Idempotency-Key header of 1 to {MAX_KEY_CHARS} ASCII characters"),
            )
        }))
    }
}

/// Proof that the request comes from this machine: who can reach the gateway from
/// elsewhere may pay, but neither break it nor read everyone's payments.
#[derive(Debug)]
pub(super) struct LoopbackPeer;

impl FromRequest for LoopbackPeer {
    type Error = SandboxError;
    type Future = Ready<Result<Self, SandboxError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let is_local = request
            .peer_addr()
            .is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        ready(if is_local {
            Ok(Self)
        } else {
            Err(SandboxError::new(
                StatusCode::FORBIDDEN,
                "ask from the gateway's own machine, over its loopback address",
            ))
        })
    }
}
