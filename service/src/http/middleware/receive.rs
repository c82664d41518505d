//! Waits until the whole request is here, before it counts as one.
//!
//! A client that sends its body a byte at a time costs itself nothing. If it had one of
//! the places that [`super::shed`] gives out while it does, a few dozen such clients
//! would be all it takes to have everybody else refused ("slow POST", the body's
//! counterpart of the slow loris, which `http.request_head_timeout` is against). So the
//! body is received first, in `http.request_body_timeout`, and up to
//! `http.body_limit_bytes`; then the request gets its place and its deadline.
//!
//! See it break: the drill `slow_clients`.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};
use tokio::time::timeout;

use crate::config::HttpConfig;
use crate::http::problem::{Problem, ProblemKind};

/// The middleware, for `actix_web::middleware::from_fn`.
///
/// # Errors
/// What is inside of it returns.
pub async fn receive(
    config: web::Data<HttpConfig>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let arriving = request.extract::<web::Bytes>();
    let problem = match timeout(config.request_body_timeout, arriving).await {
        Ok(Ok(body)) => {
            request.set_payload(Payload::from(body));
            return Ok(next.call(request).await?.map_into_boxed_body());
        }
        Ok(Err(error)) => unreadable(&error),
        Err(_) => Problem::new(ProblemKind::RequestTimeout, "the body took too long"),
    };
    let mut response = problem.error_response();
    // The rest of the body may still come, and is no next request.
    let head = response.head_mut();
    head.set_connection_type(ConnectionType::Close);
    Ok(request.into_response(response))
}

fn unreadable(error: &Error) -> Problem {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => Problem::new(
            ProblemKind::BodyTooLarge,
            "the body has more bytes than this service takes",
        ),
        _ => Problem::new(ProblemKind::BadRequest, "the body ended too early"),
    }
}
