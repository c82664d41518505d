//! What can go wrong with the database, told apart by what a caller can do.
//!
//! A violated constraint arrives as a text with a name in it. The name is the
//! contract: [`Constraint`] gives each name that a request can run into a
//! meaning, and every other violation is a bug of ours, not the client's fault.

use std::sync::Arc;

use crate::resilience::deadline::DeadlineExceeded;
use diesel::result::DatabaseErrorKind;
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
    /// No connection was free in time: too much to do.
    #[error("no database connection was free in time")]
    PoolExhausted,
    /// Nobody waits any more.
    #[error(transparent)]
    DeadlineExceeded(#[from] DeadlineExceeded),
    /// A row stayed locked for longer than `lock_timeout`.
    #[error("a row stayed locked for too long")]
    LockTimeout,
    /// A statement ran for longer than `statement_timeout`.
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
        let DieselError::DatabaseError(kind, info) = &error else {
            return match error {
                DieselError::BrokenTransactionManager => {
                    Self::Unavailable("the connection broke inside a transaction".to_owned())
                }
                other => Self::Unexpected(Arc::new(other)),
            };
        };
        if let Some(constraint) = info.constraint_name().and_then(Constraint::from_name) {
            return Self::ConstraintViolated(constraint);
        }
        // diesel passes on no SQLSTATE, only the server's message. A server with
        // an `lc_messages` that is not English gives `Unexpected` here instead.
        match info.message() {
            "canceling statement due to lock timeout" => Self::LockTimeout,
            "canceling statement due to statement timeout" => Self::StatementTimeout,
            message if is_connection_lost(kind, message) => Self::Unavailable(message.to_owned()),
            _ => Self::Unexpected(Arc::new(error)),
        }
    }
}

fn is_connection_lost(kind: &DatabaseErrorKind, message: &str) -> bool {
    matches!(
        kind,
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand
    ) || [
        "connection closed",
        "terminating connection",
        "the database system is",
    ]
    .iter()
    .any(|marker| message.contains(marker))
}
