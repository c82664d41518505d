//! Problem details: what every answer but a good one looks like.
//!
//! RFC 9457. `type` is for programs and never changes; `docs/problems.md` has a
//! section for each (`tests/consistency/problems.rs` compares). A handler returns a
//! `Problem` as its error; `middleware/problems.rs` adds what only the request
//! knows and writes the body. So a problem of ours, of an extractor and of the
//! framework all leave in one shape.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

pub use super::error::ProblemKind;
use crate::domain::validation::ValidationError;

/// What all problem types start with. A fork names its own place here.
pub const TYPE_BASE: &str = "https://orderly.example/problems/";

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `/name` of a query parameter.
    #[schema(example = "/lines/0/quantity")]
    pub(super) pointer: String,
    /// Stable, for programs.
    #[schema(example = "out_of_range")]
    pub(super) code: String,
    /// For people.
    #[schema(example = "must be from 1 to 1000")]
    pub(super) message: String,
}

impl FieldError {
    pub(super) fn new(pointer: impl Into<String>, error: ValidationError) -> Self {
        Self {
            pointer: pointer.into(),
            code: error.code.to_string(),
            message: error.message,
        }
    }
}

/// A request that is not answered as was hoped.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(super) kind: ProblemKind,
    /// What went wrong this time, or what to do; never the cause of a 5xx.
    pub(super) detail: String,
    pub(super) errors: Vec<FieldError>,
    /// Headers of the response, in addition to its own.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log, never for the client.
    pub(super) cause: Option<String>,
    /// Was shed so that others are served, and counted: a line in the log for each
    /// would cost what shedding is to save.
    pub(super) is_shed: bool,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let mut problem = Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            cause: None,
            is_shed: false,
        };
        if kind.status() == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2: a 401 names the scheme.
            problem =
                problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        problem
    }

    /// A request with fields that break a rule.
    pub(super) fn validation(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::new(
                ProblemKind::ValidationFailed,
                "errors says which fields and why",
            )
        }
    }

    /// A request with a method that `target` does not take; `allow` lists those that it takes.
    pub(super) fn method_not_allowed(target: &str, allow: &str) -> Self {
        let detail = format!("{target} takes {allow}");
        let problem = Self::new(ProblemKind::MethodNotAllowed, detail);
        match HeaderValue::from_str(allow) {
            Ok(value) => problem.with_header(header::ALLOW, value),
            Err(_) => problem,
        }
    }

    /// A request that the service has no room for.
    pub(super) fn shed(detail: impl Into<String>) -> Self {
        Self {
            is_shed: true,
            ..Self::new(ProblemKind::Overloaded, detail)
        }
        .with_retry_after(1)
    }

    /// The same with a header; of two with one name the later one is sent.
    #[must_use]
    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with a `Retry-After`, in seconds.
    #[must_use]
    pub(super) fn with_retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The same with a cause for the log.
    #[must_use]
    pub(super) fn with_cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.slug(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    /// Without a body: `middleware/problems.rs` finds the problem and writes it.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        response.extensions_mut().insert(self.clone());
        response
    }
}

/// A problem as it is sent, `application/problem+json`.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    /// Names the kind of problem; `docs/problems.md` explains each.
    #[serde(rename = "type")]
    #[schema(example = "https://orderly.example/problems/validation-failed")]
    pub(super) type_uri: String,
    /// The same for every problem of the type.
    pub(super) title: &'a str,
    /// The status code.
    pub(super) status: u16,
    /// What went wrong this time, or what to do.
    pub(super) detail: &'a str,
    /// The path that was asked for.
    // A request head that can't be read has none.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required)]
    pub(super) instance: &'a str,
    /// The trace id: the log lines of this request carry it too.
    // On the admin listener a request has no span, and so none.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub(super) trace_id: &'a str,
    /// The fields at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) errors: &'a [FieldError],
}
