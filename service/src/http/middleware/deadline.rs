//! Gives each request its deadline; see [`crate::resilience::deadline`].
//!
//! # Problem
//! A client that requests deadlines of a few milliseconds makes the service open, cancel and close
//! connections to the database without end. Each of its requests fails, and counts as a failure of
//! the service.
//!
//! # How it works
//! The deadline is `http.request_timeout`, or what the client requests with the header
//! `x-request-timeout-ms` if that is less, and at least [`MIN_REQUESTED_TIMEOUT`]. When it has
//! passed, the handler is dropped and its statement is cancelled. The response depends on the party
//! that set the deadline:
//!
//! - the server: 504 `deadline-exceeded`, an ERROR line, and a bad request of the availability SLO.
//! - the client: 408 `requested-timeout-exceeded`, which is none of these and teaches the limit on
//!   requests in flight nothing ([`super::load_shedding`]).
//!
//! A request that runs for longer than `http.slow_request_threshold` is logged while it still runs:
//! one that hangs for good would never show up in the access log.
//!
//! # Pitfalls
//! A deadline of the server that is shorter still, such as `cache.load_timeout`, stays 504: the
//! deadline of the client has not passed by then.
//!
//! # Tests
//! `tests/api/http/deadlines.rs`, and the drill `short_deadlines`.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};
use tokio::time::{Instant, sleep};

use crate::config::HttpConfig;
use crate::http::problem::{Problem, ProblemKind};
use crate::resilience::deadline;

/// The header with which a client asks for a shorter deadline, in milliseconds.
const TIMEOUT_HEADER: &str = "x-request-timeout-ms";

/// Shortest deadline that a client can request. A shorter one would pass before most requests have
/// had their turn at the database, and cost it a cancellation each.
const MIN_REQUESTED_TIMEOUT: Duration = Duration::from_millis(100);

/// The middleware, for `actix_web::middleware::from_fn`, inside of the routing.
pub(crate) async fn set_deadline(
    config: web::Data<HttpConfig>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let http_request = request.request().clone();
    let requested = match requested_timeout(&request) {
        Ok(requested) => requested.filter(|requested| *requested < config.request_timeout),
        Err(problem) => return Ok(ServiceResponse::from_err(problem, http_request)),
    };
    let deadline = Instant::now() + requested.unwrap_or(config.request_timeout);
    let work = next.call(request);
    let bounded = deadline::with_request_deadline(deadline, requested.is_some(), work);
    let response = match warn_if_slow(bounded, config.slow_request_threshold).await {
        Ok(result) => result?.map_into_boxed_body(),
        Err(exceeded) => {
            let problem = Problem::new(ProblemKind::DeadlineExceeded, exceeded.to_string());
            ServiceResponse::from_err(problem, http_request)
        }
    };
    match requested {
        Some(requested) if Instant::now() >= deadline && is_deadline_exceeded(&response) => {
            let detail = format!(
                "it took longer than {TIMEOUT_HEADER}: {}",
                requested.as_millis()
            );
            let problem = Problem::new(ProblemKind::RequestedTimeoutExceeded, detail);
            Ok(response.into_response(problem.error_response()))
        }
        _ => Ok(response),
    }
}

/// Returns what the client requests, if it requests anything.
fn requested_timeout(request: &ServiceRequest) -> Result<Option<Duration>, Problem> {
    let Some(value) = request.headers().get(TIMEOUT_HEADER) else {
        return Ok(None);
    };
    let digits = value.to_str().ok();
    let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let requested = digits.and_then(|digits| digits.parse().ok());
    let requested = requested.map(Duration::from_millis);
    match requested.filter(|requested| *requested >= MIN_REQUESTED_TIMEOUT) {
        Some(requested) => Ok(Some(requested)),
        None => {
            let min = MIN_REQUESTED_TIMEOUT.as_millis();
            let detail =
                format!("the header {TIMEOUT_HEADER} must be a number of milliseconds from {min}");
            Err(Problem::new(ProblemKind::BadRequest, detail))
        }
    }
}

fn is_deadline_exceeded(response: &ServiceResponse) -> bool {
    let extensions = response.response().extensions();
    let problem = extensions.get::<Problem>();
    problem.is_some_and(|problem| problem.kind == ProblemKind::DeadlineExceeded)
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
