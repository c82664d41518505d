//! The kinds of problems, and which of them each error of a use case becomes. No other file assigns
//! status codes to errors.
//!
//! To add a kind, add a line to `kinds!` and a section to `docs/problems.md`
//! (`tests/consistency/problems.rs` compares them). If a use case returns it, also add a variant of
//! [`UseCaseError`] and its line below.

use actix_web::http::StatusCode;

use super::problem::{FieldError, Problem};
use crate::domain::order::OrderRejection;
use crate::domain::validation::{ValidationCode, ValidationError};
use crate::usecases::UseCaseError;

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
    /// A header with one value came twice.
    RepeatedHeader = "repeated-header", BAD_REQUEST, "A header is repeated";
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
    /// The deadline that the client requested has passed.
    RequestedTimeoutExceeded = "requested-timeout-exceeded", REQUEST_TIMEOUT, "The requested timeout was exceeded";
    /// More headers than the parser's buffer holds.
    RequestHeadTooLarge = "request-head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The request head is too large";
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
    /// The body is compressed.
    UnsupportedContentEncoding = "unsupported-content-encoding", UNSUPPORTED_MEDIA_TYPE, "The body must not be compressed";
    /// `Expect` with anything but `100-continue`.
    ExpectationFailed = "expectation-failed", EXPECTATION_FAILED, "The expectation can't be met";
    /// Fields that break a rule, each in `errors`.
    ValidationFailed = "validation-failed", UNPROCESSABLE_ENTITY, "Some fields are not valid";
    /// The key was used for another body.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key was used for another request";
    /// `If-Match` is missing.
    PreconditionRequired = "precondition-required", PRECONDITION_REQUIRED, "An If-Match header is required";
    /// The client's quota is used up.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "You send too many requests";
    /// The client's share of the connections is used up.
    TooManyConnections = "too-many-connections", TOO_MANY_REQUESTS, "Too many connections";
    /// A bug.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    /// Too much to do.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "There is too much to do just now";
    /// The request took longer than anybody waits.
    DeadlineExceeded = "deadline-exceeded", GATEWAY_TIMEOUT, "The request took too long";
    /// A dependency is away.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The service can't answer just now";
}

impl From<UseCaseError> for Problem {
    fn from(error: UseCaseError) -> Self {
        let detail = error.to_string();
        match error {
            UseCaseError::NotFound(_) => Self::new(ProblemKind::NotFound, detail),
            UseCaseError::InvalidCredentials => Self::new(
                ProblemKind::InvalidCredentials,
                "check both and log in again; without an account, register with POST /v1/users",
            ),
            UseCaseError::EmailTaken => Self::new(
                ProblemKind::EmailTaken,
                "log in, or register another e-mail address",
            ),
            UseCaseError::SkuTaken => Self::new(
                ProblemKind::SkuTaken,
                "choose another SKU, or change the product that has this one",
            ),
            UseCaseError::InsufficientStock => Self::new(
                ProblemKind::OutOfStock,
                "the adjustment would take the stock below zero",
            ),
            UseCaseError::StockTooLarge => Self::validation(vec![FieldError::new(
                "/delta",
                ValidationError::new(ValidationCode::OutOfRange, detail),
            )]),
            UseCaseError::PreconditionFailed => Self::new(
                ProblemKind::PreconditionFailed,
                "read the product again, and send its new ETag in the header if-match",
            ),
            UseCaseError::OrderRejected(rejection) => problem_for_rejected_order(&rejection),
            UseCaseError::InvalidTransition(_) => {
                Self::new(ProblemKind::InvalidOrderTransition, detail)
            }
            UseCaseError::IdempotencyKeyReused => Self::new(
                ProblemKind::IdempotencyKeyReused,
                "send a fresh key with a new order; to repeat the earlier one, send it unchanged",
            ),
            UseCaseError::IdempotencyKeyInProgress => Self::new(
                ProblemKind::IdempotencyKeyInProgress,
                "send the same again after the seconds in retry-after, and get the first answer",
            )
            .with_retry_after(1),
            UseCaseError::Overloaded(_) => {
                Self::new(ProblemKind::Overloaded, detail).with_retry_after(1)
            }
            UseCaseError::DeadlineExceeded(_) => Self::new(ProblemKind::DeadlineExceeded, detail),
            UseCaseError::Unavailable(cause) | UseCaseError::Aborted(cause) => Self::new(
                ProblemKind::Unavailable,
                "a part that this needs is away; try again soon",
            )
            .with_retry_after(1)
            .with_cause(cause),
            UseCaseError::Internal(cause) => Self::new(
                ProblemKind::Internal,
                "the log has the cause, under this trace_id",
            )
            .with_cause(format!("{cause:#}")),
        }
    }
}

fn problem_for_rejected_order(rejection: &OrderRejection) -> Problem {
    let line_error = |line: usize, pointer: &str, code: ValidationCode, message: String| {
        FieldError::new(
            format!("/lines/{line}{pointer}"),
            ValidationError::new(code, message),
        )
    };
    match rejection {
        OrderRejection::UnknownProducts(lines) => Problem::validation(
            lines
                .iter()
                .map(|line| {
                    line_error(
                        *line,
                        "/product_id",
                        ValidationCode::UnknownProduct,
                        "there is no such product".to_owned(),
                    )
                })
                .collect(),
        ),
        OrderRejection::OutOfStock(shortages) => Problem {
            errors: shortages
                .iter()
                .map(|shortage| {
                    let message = format!("only {} left", shortage.available);
                    line_error(
                        shortage.line,
                        "/quantity",
                        ValidationCode::OutOfStock,
                        message,
                    )
                })
                .collect(),
            ..Problem::new(
                ProblemKind::OutOfStock,
                "errors says which lines are short, and how much is left",
            )
        },
        OrderRejection::MixedCurrency(line) => Problem::validation(vec![line_error(
            *line,
            "/product_id",
            ValidationCode::MixedCurrency,
            "is priced in another currency than the first line".to_owned(),
        )]),
        OrderRejection::TotalTooLarge(line) => Problem::validation(vec![line_error(
            *line,
            "",
            ValidationCode::TotalTooLarge,
            "the total would be more than 64 bits hold".to_owned(),
        )]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::Shortage;
    use crate::domain::order_status::{InvalidTransition, OrderStatus, OrderTransition};
    use crate::resilience::deadline::DeadlineExceeded;
    use std::collections::BTreeSet;

    #[test]
    fn detail_adds_to_title() {
        let shortage = Shortage {
            line: 0,
            available: 0,
        };
        let invalid_transition = InvalidTransition {
            status: OrderStatus::Shipped,
            attempted: OrderTransition::Cancel,
        };
        for error in [
            UseCaseError::InvalidCredentials,
            UseCaseError::EmailTaken,
            UseCaseError::SkuTaken,
            UseCaseError::InsufficientStock,
            UseCaseError::StockTooLarge,
            UseCaseError::PreconditionFailed,
            UseCaseError::OrderRejected(OrderRejection::OutOfStock(vec![shortage])),
            UseCaseError::InvalidTransition(invalid_transition),
            UseCaseError::IdempotencyKeyReused,
            UseCaseError::IdempotencyKeyInProgress,
            UseCaseError::Overloaded("a row stayed locked for too long"),
            UseCaseError::DeadlineExceeded(DeadlineExceeded),
            UseCaseError::Unavailable("no route to host".to_owned()),
            UseCaseError::Aborted("a deadlock".to_owned()),
            UseCaseError::Internal(anyhow::anyhow!("a bug")),
        ] {
            let Problem { kind, detail, .. } = Problem::from(error);
            let words = |text: &str| -> BTreeSet<String> {
                let text = text.to_lowercase();
                let words = text.split(|sign: char| !sign.is_alphanumeric());
                words.map(str::to_owned).collect()
            };
            let new_words = words(&detail).difference(&words(kind.title())).count();
            assert!(new_words > 2, "{}: {detail}", kind.title());
        }
    }
}
