//! Sheds load over the limit on requests in flight; see
//! [`crate::resilience::concurrency_limit`].
//!
//! A rejection must cost next to nothing, or rejecting is what takes the service
//! down: it happens before the body is parsed, the token is checked or anything is
//! asked of a database. (The body has been received by then: see
//! [`super::body_buffering`].) Health and metrics have a listener of their own and are never
//! shed.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};

use crate::http::problem::Problem;
use crate::resilience::concurrency_limit::InFlightLimit;

/// The middleware, for `actix_web::middleware::from_fn`.
pub(crate) async fn shed_load(
    limit: web::Data<InFlightLimit>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(permit) = limit.try_acquire() else {
        let problem = Problem::shed("too many requests are in flight");
        return Ok(request.into_response(problem.error_response()));
    };
    let response = next.call(request).await?.map_into_boxed_body();
    if was_served(response.status()) {
        permit.succeed();
    }
    Ok(response)
}

/// Whether the work that was asked for was done, or looked at: a request over its rate
/// limit was not, and neither was one that failed or that its client abandoned.
fn was_served(status: StatusCode) -> bool {
    let is_unserved = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
    );
    !status.is_server_error() && !is_unserved
}
