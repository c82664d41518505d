//! Writes the body of every answer that is a problem.
//!
//! Ours carry a [`Problem`] in the response. What the framework rejects by itself
//! carries none and would be plain text; it becomes a problem here.

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;

use crate::http::problem::{Problem, ProblemBody, ProblemKind, TYPE_BASE};
use crate::telemetry::trace_context::current_trace_id;

/// The middleware, for `actix_web::middleware::from_fn`.
pub(crate) async fn write_problems(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?;
    let own_problem = response.response().extensions().get::<Problem>().cloned();
    match own_problem.or_else(|| framework_problem(&response)) {
        Some(problem) => Ok(write_problem(response, &problem)),
        None => Ok(response.map_into_boxed_body()),
    }
}

fn framework_problem<B>(response: &ServiceResponse<B>) -> Option<Problem> {
    // A handler wrote JSON, such as the report of `/healthz`.
    if response.headers().get(CONTENT_TYPE) == Some(&HeaderValue::from_static("application/json")) {
        return None;
    }
    let kind = match response.status() {
        StatusCode::NOT_FOUND => ProblemKind::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemKind::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemKind::BodyTooLarge,
        status if status.is_client_error() => ProblemKind::BadRequest,
        status if status.is_server_error() => ProblemKind::Internal,
        _ => return None,
    };
    Some(Problem::new(
        kind,
        "the request was refused before it was read",
    ))
}

fn write_problem<B>(response: ServiceResponse<B>, problem: &Problem) -> ServiceResponse<BoxBody> {
    let instance = response.request().path().to_owned();
    let trace_id = current_trace_id().unwrap_or_default();
    let status = problem.kind.status();
    let reason = problem.cause.as_deref().unwrap_or(&problem.detail);
    if problem.is_shed {
        tracing::debug!(reason, "a request was shed");
    } else if status.is_server_error() {
        tracing::error!(problem = problem.kind.slug(), reason, "a request failed");
    }
    let body = serde_json::to_vec(&ProblemBody {
        type_uri: format!("{TYPE_BASE}{}", problem.kind.slug()),
        title: problem.kind.title(),
        status: status.as_u16(),
        detail: &problem.detail,
        instance: &instance,
        trace_id: &trace_id,
        errors: &problem.errors,
    })
    .unwrap_or_default();
    let mut response = response.map_body(|_, _| BoxBody::new(body));
    *response.response_mut().status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in &problem.headers {
        headers.insert(name.clone(), value.clone());
    }
    response
}
