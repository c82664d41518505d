//! From the outcome of a story to a problem: the only place that gives status
//! codes to errors.

use super::problem::{FieldError, Problem, ProblemKind as Kind};
use crate::domain::invalid::{Code, Invalid};
use crate::domain::order::Refusal;
use crate::usecases::UseCaseError;

impl From<UseCaseError> for Problem {
    fn from(error: UseCaseError) -> Self {
        let detail = error.to_string();
        match error {
            UseCaseError::NotFound(_) => Self::new(Kind::NotFound, detail),
            UseCaseError::InvalidCredentials => Self::new(Kind::InvalidCredentials, detail),
            UseCaseError::EmailTaken => Self::new(Kind::EmailTaken, detail),
            UseCaseError::SkuTaken => Self::new(Kind::SkuTaken, detail),
            UseCaseError::InsufficientStock => Self::new(Kind::OutOfStock, detail),
            UseCaseError::StockTooLarge => Self::validation(vec![FieldError::new(
                "/delta",
                Invalid::new(Code::OutOfRange, detail),
            )]),
            UseCaseError::StaleVersion => Self::new(Kind::StaleVersion, detail),
            UseCaseError::Refused(refusal) => refused(&refusal, detail),
            UseCaseError::IllegalMove(_) => Self::new(Kind::IllegalOrderMove, detail),
            UseCaseError::KeyReused => Self::new(Kind::IdempotencyKeyReused, detail),
            UseCaseError::KeyInProgress => {
                Self::new(Kind::IdempotencyKeyInProgress, detail).retry_after(1)
            }
            UseCaseError::Overloaded(_) => Self::new(Kind::Overloaded, detail).retry_after(1),
            UseCaseError::DeadlineExceeded(_) => Self::new(Kind::DeadlineExceeded, detail),
            UseCaseError::Unavailable(cause) => Self::new(
                Kind::Unavailable,
                "a part that this needs is away; try again soon",
            )
            .retry_after(1)
            .cause(cause),
            UseCaseError::Internal(cause) => {
                Self::new(Kind::Internal, "the log has the cause, under this trace_id")
                    .cause(format!("{cause:#}"))
            }
        }
    }
}

fn refused(refusal: &Refusal, detail: String) -> Problem {
    let field = |line: usize, field: &str, code: Code, message: String| {
        FieldError::new(format!("/lines/{line}{field}"), Invalid::new(code, message))
    };
    match refusal {
        Refusal::UnknownProducts(lines) => Problem::validation(
            lines
                .iter()
                .map(|line| {
                    field(
                        *line,
                        "/product_id",
                        Code::UnknownProduct,
                        "there is no such product".to_owned(),
                    )
                })
                .collect(),
        ),
        Refusal::OutOfStock(shortages) => Problem {
            errors: shortages
                .iter()
                .map(|short| {
                    let message = format!("only {} left", short.available);
                    field(short.line, "/quantity", Code::OutOfStock, message)
                })
                .collect(),
            ..Problem::new(Kind::OutOfStock, detail)
        },
        Refusal::MixedCurrency(line) => Problem::validation(vec![field(
            *line,
            "/product_id",
            Code::MixedCurrency,
            "is priced in another currency than the first line".to_owned(),
        )]),
        Refusal::TotalTooLarge(line) => Problem::validation(vec![field(
            *line,
            "",
            Code::TotalTooLarge,
            "the total would be more than 64 bits hold".to_owned(),
        )]),
    }
}
