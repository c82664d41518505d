//! What every answer says to the browser that it may have come to.
//!
//! This is no website, yet its answers can be opened in a browser, framed, sniffed and cached. Each header takes away
//! one thing that nobody needs to be able to do:
//!
//! | header | takes away |
//! |---|---|
//! | `X-Content-Type-Options` | guessing that JSON is a script after all |
//! | `Content-Security-Policy` | running or framing anything (`/docs` may run its own files) |
//! | `Referrer-Policy` | telling other sites which page, and which order id, a link was on |
//! | `Cache-Control` | keeping personal data on a disk: `no-store`, unless the endpoint is public or the handler knows better |
//! | `Strict-Transport-Security` | coming back without TLS; only said over TLS (RFC 6797, section 7.2) |
//!
//! The values are those of the OWASP REST Security Cheat Sheet.
//! See it break: `tests/api/http/browser_security.rs`.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::config::HttpConfig;
use crate::http::endpoint::EndpointIndex;
use crate::http::routes::{DOCS_PATH, OPENAPI_PATH};

const API_CSP: &str = "default-src 'none'; frame-ancestors 'none'";
/// Swagger UI styles its elements one by one and draws icons from `data:` URLs.
const SWAGGER_UI_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                         connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// A year, in seconds, as browsers' preload lists ask for.
const HSTS_MAX_AGE: &str = "max-age=31536000";

/// The middleware, for `actix_web::middleware::from_fn`.
pub(crate) async fn add_security_headers<B: MessageBody>(
    config: web::Data<HttpConfig>,
    endpoint_index: web::Data<EndpointIndex>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let path = request.match_info().as_str();
    let is_docs = path.starts_with(DOCS_PATH);
    let csp = if is_docs { SWAGGER_UI_CSP } else { API_CSP };
    let is_cacheable = is_docs || path == OPENAPI_PATH || endpoint_index.is_public(&request);
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, csp),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_cacheable && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if config.tls_certificate.is_some() {
        let hsts = HeaderValue::from_static(HSTS_MAX_AGE);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
    Ok(response)
}
