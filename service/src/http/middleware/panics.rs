//! A handler that panics costs one request, not the process.
//!
//! A panic is a bug, and unwinding it through a worker would take all the
//! requests of that worker with it. Here it ends as a 500 problem and is counted.
//! Where it was has been logged already, under the same trace id:
//! [`crate::telemetry::panics`].
//!
//! See it break: `handler_panic_returns_500_problem_and_is_counted` in
//! `http/resource.rs`.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use futures_util::FutureExt as _;

use crate::http::problem::{Problem, ProblemKind};
use crate::telemetry::metrics::Metrics;

/// The middleware, for `actix_web::middleware::from_fn`, inside of the routing.
pub(crate) async fn catch_panics(
    metrics: web::Data<Metrics>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let http_request = request.request().clone();
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(result) => result.map(ServiceResponse::map_into_boxed_body),
        Err(_) => {
            metrics.process.handler_panics.inc();
            let problem = Problem::new(
                ProblemKind::Internal,
                "the log has the cause, under this trace_id",
            )
            .with_cause("a panic");
            Ok(ServiceResponse::from_err(problem, http_request))
        }
    }
}
