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

use crate::domain::validation::ValidationError;

/// What all problem types start with. A fork names its own place here.
pub const TYPE_BASE: &str = "https://orderly.example/problems/";

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:ident, $title:literal;)*) => {
        /// Every kind of problem, with its slug, status code and title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemKind { $($(#[$doc])* $name,)* }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The end of the `type`.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The status code.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The same for every problem of the kind.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    /// The body is not JSON.
    MalformedJson = "malformed-json", BAD_REQUEST, "The body is not JSON";
    /// The request is not HTTP as we understand it.
    BadRequest = "bad-request", BAD_REQUEST, "The request can't be understood";
    /// `Idempotency-Key` is missing or no key.
    IdempotencyKeyRequired = "idempotency-key-required", BAD_REQUEST, "An Idempotency-Key is required";
    /// No valid access token.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid access token is required";
    /// Wrong address or password.
    InvalidCredentials = "invalid-credentials", UNAUTHORIZED, "The e-mail address or the password is wrong";
    /// The role does not allow it.
    Forbidden = "forbidden", FORBIDDEN, "Your role does not allow this";
    /// No such thing or no such place.
    NotFound = "not-found", NOT_FOUND, "There is no such thing";
    /// The place exists, the method does not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    /// The body did not come in time.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The request took too long to arrive";
    /// Another user has the address.
    EmailTaken = "email-taken", CONFLICT, "The e-mail address is taken";
    /// Another product has the SKU.
    SkuTaken = "sku-taken", CONFLICT, "The SKU is taken";
    /// Less stock than asked for.
    OutOfStock = "out-of-stock", CONFLICT, "There is not enough stock";
    /// The state machine has no such move.
    InvalidOrderTransition = "invalid-order-transition", CONFLICT, "The order does not allow this now";
    /// The first request with the key still runs.
    IdempotencyKeyInProgress = "idempotency-key-in-progress", CONFLICT, "A request with this Idempotency-Key still runs";
    /// `If-Match` names an old version.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "The product has changed since";
    /// More than the body limit.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// Not `application/json`.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be application/json";
    /// Fields that break a rule, each in `errors`.
    ValidationFailed = "validation-failed", UNPROCESSABLE_ENTITY, "Some fields are not valid";
    /// The key was used for another body.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key was used for another request";
    /// `If-Match` is missing.
    PreconditionRequired = "precondition-required", PRECONDITION_REQUIRED, "An If-Match header is required";
    /// The client's quota is used up.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "You send too many requests";
    /// A bug.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    /// Too much to do.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "There is too much to do just now";
    /// The request took longer than anybody waits.
    DeadlineExceeded = "deadline-exceeded", GATEWAY_TIMEOUT, "The request took too long";
    /// A dependency is away.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The service can't answer just now";
}

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
