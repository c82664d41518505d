//! Who and what is let in, and how the rest is turned away.

use std::future::{Ready, ready};
use std::io;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::error::{BlockingError, JsonPayloadError};
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use serde_json::json;

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

/// An answer that is no outcome: `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct SandboxError {
    status: StatusCode,
    message: String,
}

impl SandboxError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl ResponseError for SandboxError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::build(self.status).json(json!({ "error": self.message }))
    }
}

impl From<JsonPayloadError> for SandboxError {
    fn from(error: JsonPayloadError) -> Self {
        match &error {
            // Well-formed JSON that says the wrong thing: an unknown field, a wrong type.
            JsonPayloadError::Deserialize(cause) if cause.is_data() => {
                Self::unprocessable(cause.to_string())
            }
            _ => Self::new(error.status_code(), error.to_string()),
        }
    }
}

impl From<io::Error> for SandboxError {
    fn from(error: io::Error) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<BlockingError> for SandboxError {
    fn from(_: BlockingError) -> Self {
        Self::unavailable("the gateway is stopping")
    }
}
