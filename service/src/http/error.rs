//! From the error of a use case to a problem: the only place that gives status
//! codes to errors.

use super::problem::{FieldError, Problem, ProblemKind as Kind};
use crate::domain::order::OrderRejection;
use crate::domain::validation::{ValidationCode, ValidationError};
use crate::usecases::UseCaseError;

impl From<UseCaseError> for Problem {
    fn from(error: UseCaseError) -> Self {
        let detail = error.to_string();
        match error {
            UseCaseError::NotFound(_) => Self::new(Kind::NotFound, detail),
            UseCaseError::InvalidCredentials => Self::new(
                Kind::InvalidCredentials,
                "check both and log in again; without an account, register with POST /v1/users",
            ),
            UseCaseError::EmailTaken => Self::new(
                Kind::EmailTaken,
                "log in, or register another e-mail address",
            ),
            UseCaseError::SkuTaken => Self::new(
                Kind::SkuTaken,
                "choose another SKU, or change the product that has this one",
            ),
            UseCaseError::InsufficientStock => Self::new(
                Kind::OutOfStock,
                "the adjustment would take the stock below zero",
            ),
            UseCaseError::StockTooLarge => Self::validation(vec![FieldError::new(
                "/delta",
                ValidationError::new(ValidationCode::OutOfRange, detail),
            )]),
            UseCaseError::PreconditionFailed => Self::new(
                Kind::PreconditionFailed,
                "read the product again, and send its new ETag in the header if-match",
            ),
            UseCaseError::OrderRejected(rejection) => problem_for_rejected_order(&rejection),
            UseCaseError::InvalidTransition(_) => Self::new(Kind::InvalidOrderTransition, detail),
            UseCaseError::IdempotencyKeyReused => Self::new(
                Kind::IdempotencyKeyReused,
                "send a fresh key with a new order; to repeat the earlier one, send it unchanged",
            ),
            UseCaseError::IdempotencyKeyInProgress => Self::new(
                Kind::IdempotencyKeyInProgress,
                "send the same again after the seconds in retry-after, and get the first answer",
            )
            .with_retry_after(1),
            UseCaseError::Overloaded(_) => Self::new(Kind::Overloaded, detail).with_retry_after(1),
            UseCaseError::DeadlineExceeded(_) => Self::new(Kind::DeadlineExceeded, detail),
            UseCaseError::Unavailable(cause) => Self::new(
                Kind::Unavailable,
                "a part that this needs is away; try again soon",
            )
            .with_retry_after(1)
            .with_cause(cause),
            UseCaseError::Internal(cause) => {
                Self::new(Kind::Internal, "the log has the cause, under this trace_id")
                    .with_cause(format!("{cause:#}"))
            }
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
                Kind::OutOfStock,
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
