//! Gives requests with an unknown method one name for all: `_OTHER`.
//!
//! Anybody can invent methods, and each would be a time series of its own for ever,
//! since metrics and spans carry the method. `_OTHER` is what OpenTelemetry's
//! conventions for HTTP put in its place. No route takes it, as none took the original.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;

/// Every method that metrics and spans show: those of RFC 9110, section 9.3, and RFC 5789, and one
/// name for all others.
pub(crate) const METRIC_METHODS: [&str; 10] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", OTHER,
];
const OTHER: &str = "_OTHER";

/// The middleware, for `actix_web::middleware::from_fn`: around all that shows a method.
pub(crate) async fn normalize_method<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if !METRIC_METHODS.contains(&request.method().as_str())
        && let Ok(other) = Method::from_bytes(OTHER.as_bytes())
    {
        request.head_mut().method = other;
    }
    next.call(request).await
}
