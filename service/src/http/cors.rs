//! Which web pages may call the API from a browser (CORS, the Fetch standard).
//!
//! A browser lets a page read the answers of another origin only where that origin allows it. Nobody is allowed unless
//! `http.cors_origins` names them, and `*` is not taken: the list is who is meant. Cookies are never allowed, since
//! there are none; a page sends the access token itself.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::middleware::Condition;

use super::endpoint::Endpoint;
use crate::config::HttpConfig;

/// What a page may send beside what every form may.
pub(super) const ALLOWED_HEADERS: [&str; 9] = [
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "x-request-timeout-ms",
];

/// What a page may read beside what it always may.
const EXPOSED_HEADERS: [&str; 9] = [
    "age",
    "etag",
    "idempotent-replayed",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
    "x-stale",
];

/// How long a browser need not ask again, in seconds: an hour, half of what Chromium takes at most.
const MAX_AGE_SECONDS: usize = 3600;

/// The middleware; none where no origin is named.
pub(super) fn allow_configured_origins(
    http: &HttpConfig,
    endpoints: &[Endpoint],
) -> Condition<Cors> {
    // HEAD comes with GET.
    let methods = endpoints.iter().map(|endpoint| endpoint.method.clone());
    let methods = methods.chain([Method::HEAD]);
    let cors = (http.cors_origins.iter())
        .fold(Cors::default(), |cors, origin| cors.allowed_origin(origin))
        .allowed_methods(methods)
        .allowed_headers(ALLOWED_HEADERS)
        .expose_headers(EXPOSED_HEADERS)
        .max_age(MAX_AGE_SECONDS);
    Condition::new(!http.cors_origins.is_empty(), cors)
}
