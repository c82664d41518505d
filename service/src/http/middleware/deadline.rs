//! Gives each request its deadline; see [`crate::resilience::deadline`].
//!
//! `http.request_timeout`, or what the client asks for with the header
//! `x-request-timeout-ms` if that is less. When the time is over the handler is
//! dropped, its statement is cancelled, and the client gets 504. A request that
//! runs for longer than `http.slow_request_threshold` is logged while it still runs: one
//! that hangs for good would never show up in the access log.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use tokio::time::{Instant, sleep};

use crate::config::HttpConfig;
use crate::http::problem::{Problem, ProblemKind};
use crate::resilience::deadline;

/// The header with which a client asks for a shorter deadline, in milliseconds.
const TIMEOUT_HEADER: &str = "x-request-timeout-ms";

/// The middleware, for `actix_web::middleware::from_fn`, inside of the routing.
pub(crate) async fn set_deadline(
    config: web::Data<HttpConfig>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let http_request = request.request().clone();
    let timeout = match requested_timeout(&request) {
        Ok(requested) => requested.unwrap_or(config.request_timeout),
        Err(problem) => return Ok(ServiceResponse::from_err(problem, http_request)),
    };
    let deadline = Instant::now() + timeout.min(config.request_timeout);
    let bounded = deadline::with_deadline(deadline, next.call(request));
    match warn_if_slow(bounded, config.slow_request_threshold).await {
        Ok(result) => result.map(ServiceResponse::map_into_boxed_body),
        Err(exceeded) => {
            let problem = Problem::new(ProblemKind::DeadlineExceeded, exceeded.to_string());
            Ok(ServiceResponse::from_err(problem, http_request))
        }
    }
}

fn requested_timeout(request: &ServiceRequest) -> Result<Option<Duration>, Problem> {
    let Some(value) = request.headers().get(TIMEOUT_HEADER) else {
        return Ok(None);
    };
    let millis: Option<u64> = value.to_str().ok().and_then(|text| text.parse().ok());
    millis
        .filter(|millis| *millis > 0)
        .map(|millis| Some(Duration::from_millis(millis)))
        .ok_or_else(|| {
            let detail =
                format!("the header {TIMEOUT_HEADER} must be a number of milliseconds above 0");
            Problem::new(ProblemKind::BadRequest, detail)
        })
}

async fn warn_if_slow<T>(work: impl Future<Output = T>, threshold: Duration) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        result = &mut work => return result,
        () = sleep(threshold) => {
            tracing::warn!(elapsed_ms = threshold.as_millis(), "a slow request still runs");
        }
    }
    work.await
}
