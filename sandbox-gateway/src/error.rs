//! Error responses of the gateway: `{"error": "…"}`.

use std::io;

use actix_web::body::BoxBody;
use actix_web::error::{BlockingError, JsonPayloadError};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

/// A response that says nothing about the outcome of a charge or refund.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct GatewayError {
    status: StatusCode,
    message: String,
}

impl GatewayError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl ResponseError for GatewayError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::build(self.status).json(json!({ "error": self.message }))
    }
}

impl From<JsonPayloadError> for GatewayError {
    fn from(error: JsonPayloadError) -> Self {
        match &error {
            // Well-formed JSON of another shape: an unknown field, a wrong type.
            JsonPayloadError::Deserialize(cause) if cause.is_data() => {
                Self::unprocessable(cause.to_string())
            }
            _ => Self::new(error.status_code(), error.to_string()),
        }
    }
}

impl From<io::Error> for GatewayError {
    fn from(error: io::Error) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<BlockingError> for GatewayError {
    fn from(_: BlockingError) -> Self {
        Self::unavailable("the gateway is stopping")
    }
}
