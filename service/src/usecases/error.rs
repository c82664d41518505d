//! Why a use case failed.

use crate::domain::order::OrderRejection;
use crate::domain::order_status::InvalidTransition;
use crate::resilience::deadline::DeadlineExceeded;
use crate::secrets::passwords::PasswordError;
use crate::storage::error::{Constraint, DieselError, StorageError};

/// All the ways out. `http/error.rs` gives each a status code.
#[derive(Debug, thiserror::Error)]
pub enum UseCaseError {
    /// There is no such thing, or it is not this user's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Unknown address or wrong password; nobody is told which.
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    /// Another user has this address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another product has this SKU.
    #[error("the SKU is taken")]
    SkuTaken,
    /// The stock would fall below zero.
    #[error("there is not that much stock")]
    InsufficientStock,
    /// The stock would be more than can be counted.
    #[error("the stock would be too large")]
    StockTooLarge,
    /// The product has changed since the client saw it.
    #[error("the product has changed since")]
    PreconditionFailed,
    /// The order can't be taken.
    #[error(transparent)]
    OrderRejected(#[from] OrderRejection),
    /// The transition does not start from the status of the order.
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// Another request with this idempotency key still runs.
    #[error("another request with this idempotency key still runs")]
    IdempotencyKeyInProgress,
    /// Too much to do just now.
    #[error("{0}")]
    Overloaded(&'static str),
    /// Nobody waits any more.
    #[error(transparent)]
    DeadlineExceeded(#[from] DeadlineExceeded),
    /// The database can't be reached.
    #[error("the database can't be reached: {0}")]
    Unavailable(String),
    /// The database aborted the transaction: nothing was committed, and a retry may succeed.
    #[error("the database aborted the transaction: {0}")]
    Aborted(String),
    /// A bug, or a world that is not as we know it.
    #[error("{0:#}")]
    Internal(anyhow::Error),
}

impl UseCaseError {
    /// Whether nobody can tell if the transaction was committed: the connection
    /// may have broken, or the time been over, while `COMMIT` was under way.
    pub(super) fn is_commit_unknown(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::DeadlineExceeded(_) | Self::Internal(_)
        )
    }
}

impl From<StorageError> for UseCaseError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::ConstraintViolated(Constraint::EmailUnique) => Self::EmailTaken,
            StorageError::ConstraintViolated(Constraint::SkuUnique) => Self::SkuTaken,
            StorageError::ConstraintViolated(Constraint::StockNotNegative) => {
                Self::InsufficientStock
            }
            StorageError::ConstraintViolated(Constraint::StockBounded) => Self::StockTooLarge,
            StorageError::PoolExhausted => {
                Self::Overloaded("no database connection was free in time")
            }
            StorageError::DeadlineExceeded(exceeded) => Self::DeadlineExceeded(exceeded),
            StorageError::ConstraintViolated(Constraint::UserExists) => Self::NotFound("user"),
            StorageError::LockTimeout => Self::Overloaded("a row stayed locked for too long"),
            StorageError::StatementTimeout => Self::Overloaded("the database took too long"),
            StorageError::Unavailable(cause) | StorageError::ServerFault(cause) => {
                Self::Unavailable(cause)
            }
            StorageError::Aborted(cause) => Self::Aborted(cause),
            bug @ (StorageError::UnreadableRow(_) | StorageError::Unexpected(_)) => {
                Self::Internal(bug.into())
            }
        }
    }
}

/// For the `BEGIN`, `COMMIT` and `ROLLBACK` of a transaction.
impl From<DieselError> for UseCaseError {
    fn from(error: DieselError) -> Self {
        StorageError::from(error).into()
    }
}

impl From<PasswordError> for UseCaseError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Overloaded("too many passwords are being hashed"),
            bug @ PasswordError::Failed(_) => Self::Internal(bug.into()),
        }
    }
}

impl From<serde_json::Error> for UseCaseError {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}
