//! Errors of the database, by what a caller can do about them.
//!
//! A violated constraint is classified by its name. [`Constraint`] gives a meaning to each name that
//! a request can run into; every other violation is a bug. All other errors are classified by their
//! code ([`super::sqlstate`]), since the text of a message depends on the server's language.

use std::sync::Arc;

use super::sqlstate::Failure;
use crate::resilience::deadline::DeadlineExceeded;
/// Error of a statement, or of the `BEGIN`, `COMMIT` or `ROLLBACK` of a transaction.
pub(crate) use diesel::result::Error as DieselError;

/// A constraint that a request can run into, by its name in `migrations/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// `users_email_c_key`: the e-mail address is taken.
    EmailUnique,
    /// `products_sku_key`: the SKU is taken.
    SkuUnique,
    /// `products_stock_not_negative`: there is not that much stock.
    StockNotNegative,
    /// `products_stock_bounded`: more stock than can be counted.
    StockBounded,
    /// `idempotency_keys_user_fkey`: the user is gone since the token was made.
    UserExists,
}

impl Constraint {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            // The first is on `lower(email)`, for the version before.
            "users_email_key" | "users_email_c_key" => Some(Self::EmailUnique),
            "products_sku_key" => Some(Self::SkuUnique),
            "products_stock_not_negative" => Some(Self::StockNotNegative),
            "products_stock_bounded" => Some(Self::StockBounded),
            "idempotency_keys_user_fkey" => Some(Self::UserExists),
            _ => None,
        }
    }
}

/// Why a statement, or the connection for it, failed. Can be cloned, for all who
/// waited for one statement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// No connection, or it broke: worth trying again later.
    #[error("the database can't be reached: {0}")]
    Unavailable(String),
    /// The server aborted the transaction: nothing was committed, and another session may succeed.
    #[error("the database aborted the transaction: {0}")]
    Aborted(String),
    /// The server lacks space, memory, a table or a privilege.
    #[error("the database can't work: {0}")]
    ServerFault(String),
    /// No connection was free in time: too much to do.
    #[error("no database connection was free in time")]
    PoolExhausted,
    /// The deadline of the request passed.
    #[error(transparent)]
    DeadlineExceeded(#[from] DeadlineExceeded),
    /// A row stayed locked for longer than `lock_timeout`.
    #[error("a row stayed locked for too long")]
    LockTimeout,
    /// A statement ran for longer than `statement_timeout`, or an operator cancelled it.
    #[error("a statement ran for too long")]
    StatementTimeout,
    /// A constraint with a meaning refused the change.
    #[error("the constraint {0:?} refused the change")]
    ConstraintViolated(Constraint),
    /// A row holds what the domain does not know: the schema and the code differ.
    #[error("a row can't be read: {0}")]
    UnreadableRow(String),
    /// Anything else: a bug.
    #[error("unexpected database error: {0}")]
    Unexpected(#[source] Arc<DieselError>),
}

impl From<DieselError> for StorageError {
    fn from(error: DieselError) -> Self {
        if let DieselError::DatabaseError(_, information) = &error
            && let Some(constraint) = information
                .constraint_name()
                .and_then(Constraint::from_name)
        {
            return Self::ConstraintViolated(constraint);
        }
        match Failure::of(&error) {
            Failure::ConnectionLost => Self::Unavailable(error.to_string()),
            Failure::StaleSession | Failure::ReadOnly | Failure::Conflict => {
                Self::Aborted(error.to_string())
            }
            Failure::ServerFault => Self::ServerFault(error.to_string()),
            Failure::LockTimeout => Self::LockTimeout,
            Failure::Cancelled => Self::StatementTimeout,
            Failure::InternalError | Failure::Unexpected => Self::Unexpected(Arc::new(error)),
        }
    }
}
