//! The meaning of each error code (SQLSTATE), in one table.
//!
//! # Problem
//!
//! A session can be unusable without being broken: the server responds, and each statement fails.
//! Examples are prepared statements whose table has changed since, and a session of a primary that
//! has become a standby. The pool lends such a session again and again, until it is too old.
//!
//! # How it works
//!
//! [`Failure::of`] classifies each error. Three decisions follow:
//!
//! | failure | session | retry | response |
//! |---|---|---|---|
//! | `StaleSession` | closed, and idle ones that are older than the loan | on another session | 503 |
//! | `ReadOnly` | closed, if it is older than a few seconds | on another session | 503 |
//! | `ConnectionLost` | closed, and idle ones that are older than the loan | reads | 503 |
//! | `Conflict` | kept | on another session | 503 |
//! | `LockTimeout`, `Cancelled` | kept | no | 503 |
//! | `ServerFault` | kept | no | 503 |
//! | `InternalError` | closed | no | 500 |
//! | `Unexpected` | kept | no | 500 |
//!
//! [`super::transport`] sees the errors of each session ([`SessionErrors`]), [`super::connection`]
//! closes it. The retry is made by `usecases/database_retry.rs`.
//! `StaleSession`, `ReadOnly` and `Conflict` abort the transaction before its end, so nothing was
//! committed, and a write can be retried as well.
//!
//! # Pitfalls
//!
//! - `57014` is a statement timeout and a cancellation by an operator; only the text differs.
//! - `25P02` follows from an earlier error of the transaction. It says nothing about the session.
//!
//! # Tests
//!
//! `classifies_each_code` below, `tests/api/storage/server_errors.rs`, and the drills
//! `schema_changed` and `postgres_read_only`.

use std::sync::atomic::{AtomicBool, Ordering};

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::error_response::split_code;

/// The meaning of an error of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The session's prepared statements are invalid or gone.
    StaleSession,
    /// The session can't write.
    ReadOnly,
    /// The session ended, or is about to.
    ConnectionLost,
    /// Another transaction was in the way, and this one was aborted.
    Conflict,
    /// `lock_timeout` expired.
    LockTimeout,
    /// `statement_timeout` expired, or an operator cancelled the statement.
    Cancelled,
    /// The server lacks space, memory, a table or a privilege.
    ServerFault,
    /// The server violated its own rules.
    InternalError,
    /// Any other error: a bug of this program.
    Unexpected,
}

/// What becomes of a session after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionFate {
    /// It returns to the pool.
    Keep,
    /// It is closed, unless it is so young that another one would be the same.
    CloseIfOld,
    /// It is closed.
    Close,
}

impl Failure {
    /// Classifies an error of diesel.
    pub(super) fn of(error: &DieselError) -> Self {
        match error {
            DieselError::DatabaseError(kind, information) => {
                match (split_code(information.message()), kind) {
                    (Some((code, _)), _) => Self::of_code(code),
                    (None, DatabaseErrorKind::UnableToSendCommand)
                    | (None, DatabaseErrorKind::ClosedConnection) => Self::ConnectionLost,
                    // Over a Unix socket there is no code, but diesel knows some.
                    (None, DatabaseErrorKind::SerializationFailure) => Self::Conflict,
                    (None, DatabaseErrorKind::ReadOnlyTransaction) => Self::ReadOnly,
                    (None, _) => Self::Unexpected,
                }
            }
            DieselError::RollbackErrorOnCommit { commit_error, .. } => Self::of(commit_error),
            DieselError::BrokenTransactionManager => Self::ConnectionLost,
            _ => Self::Unexpected,
        }
    }

    /// Classifies a SQLSTATE (PostgreSQL manual, appendix "PostgreSQL Error Codes").
    fn of_code(code: &str) -> Self {
        match code {
            // feature_not_supported: "cached plan must not change result type";
            // invalid_sql_statement_name, invalid_cursor_name: `DISCARD ALL`, `DEALLOCATE`;
            // duplicate_prepared_statement: another client shares the session.
            "0A000" | "26000" | "34000" | "42P05" => Self::StaleSession,
            // read_only_sql_transaction
            "25006" => Self::ReadOnly,
            // lock_not_available
            "55P03" => Self::LockTimeout,
            // query_canceled
            "57014" => Self::Cancelled,
            // idle_in_transaction_session_timeout, transaction_timeout, statement_completion_unknown;
            // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout
            "25P03" | "25P04" | "40003" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => {
                Self::ConnectionLost
            }
            // insufficient_privilege, undefined_table, invalid_schema_name, invalid_catalog_name,
            // program_limit_exceeded: no transaction ids are left
            "42501" | "42P01" | "3F000" | "3D000" | "54000" => Self::ServerFault,
            _ => Self::of_class(code.get(..2).unwrap_or_default()),
        }
    }

    fn of_class(class: &str) -> Self {
        match class {
            // Connection Exception
            "08" => Self::ConnectionLost,
            // Transaction Rollback: serialization failure, deadlock
            "40" => Self::Conflict,
            // Invalid Authorization, Insufficient Resources, System Error, Configuration File Error
            "28" | "53" | "58" | "F0" => Self::ServerFault,
            // Internal Error
            "XX" => Self::InternalError,
            _ => Self::Unexpected,
        }
    }

    /// What becomes of the session.
    pub(super) fn session_fate(self) -> SessionFate {
        match self {
            Self::StaleSession | Self::ConnectionLost | Self::InternalError => SessionFate::Close,
            Self::ReadOnly => SessionFate::CloseIfOld,
            Self::Conflict
            | Self::LockTimeout
            | Self::Cancelled
            | Self::ServerFault
            | Self::Unexpected => SessionFate::Keep,
        }
    }
}

/// The errors of one session that decide on its fate. The transport records them, since it is the
/// only place that sees the errors of all statements.
#[derive(Debug, Default)]
pub(super) struct SessionErrors {
    must_close: AtomicBool,
    is_read_only: AtomicBool,
}

impl SessionErrors {
    /// Records an error code.
    pub(super) fn record(&self, code: &str) {
        match Failure::of_code(code).session_fate() {
            SessionFate::Keep => {}
            SessionFate::CloseIfOld => self.is_read_only.store(true, Ordering::Relaxed),
            SessionFate::Close => self.must_close.store(true, Ordering::Relaxed),
        }
    }

    /// What becomes of the session.
    pub(super) fn fate(&self) -> SessionFate {
        if self.must_close.load(Ordering::Relaxed) {
            SessionFate::Close
        } else if self.is_read_only.load(Ordering::Relaxed) {
            SessionFate::CloseIfOld
        } else {
            SessionFate::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_each_code() {
        use Failure::*;
        for (code, failure) in [
            ("0A000", StaleSession),
            ("26000", StaleSession),
            ("42P05", StaleSession),
            ("25006", ReadOnly),
            ("08006", ConnectionLost),
            ("25P03", ConnectionLost),
            ("25P04", ConnectionLost),
            ("40003", ConnectionLost),
            ("57P01", ConnectionLost),
            ("57P02", ConnectionLost),
            ("57P03", ConnectionLost),
            ("57P05", ConnectionLost),
            ("40001", Conflict),
            ("40P01", Conflict),
            ("55P03", LockTimeout),
            ("57014", Cancelled),
            ("28P01", ServerFault),
            ("3D000", ServerFault),
            ("42501", ServerFault),
            ("42P01", ServerFault),
            ("53100", ServerFault),
            ("53200", ServerFault),
            ("53300", ServerFault),
            ("58030", ServerFault),
            ("XX000", InternalError),
            ("XX001", InternalError),
            ("22003", Unexpected),
            ("23505", Unexpected),
            ("25P02", Unexpected),
            ("42601", Unexpected),
            ("42703", Unexpected),
            ("P0001", Unexpected),
        ] {
            let message = format!("{code}: eine Meldung, egal in welcher Sprache");
            let kind = DatabaseErrorKind::Unknown;
            let error = DieselError::DatabaseError(kind, Box::new(message));
            assert_eq!(Failure::of(&error), failure, "{code}");
        }
    }

    #[test]
    fn classifies_errors_without_code() {
        let of = |kind| {
            Failure::of(&DieselError::DatabaseError(
                kind,
                Box::new("lost".to_owned()),
            ))
        };
        for (kind, failure) in [
            (
                DatabaseErrorKind::UnableToSendCommand,
                Failure::ConnectionLost,
            ),
            (DatabaseErrorKind::ClosedConnection, Failure::ConnectionLost),
            (DatabaseErrorKind::SerializationFailure, Failure::Conflict),
            (DatabaseErrorKind::ReadOnlyTransaction, Failure::ReadOnly),
            (DatabaseErrorKind::Unknown, Failure::Unexpected),
        ] {
            assert_eq!(of(kind), failure);
        }
        assert_eq!(
            Failure::of(&DieselError::BrokenTransactionManager),
            Failure::ConnectionLost
        );
        assert_eq!(Failure::of(&DieselError::NotFound), Failure::Unexpected);
    }

    #[test]
    fn worst_error_decides_on_session() {
        let errors = SessionErrors::default();
        let fate_after = |code| {
            errors.record(code);
            errors.fate()
        };
        assert_eq!(fate_after("23505"), SessionFate::Keep);
        assert_eq!(fate_after("25006"), SessionFate::CloseIfOld);
        assert_eq!(fate_after("0A000"), SessionFate::Close);
        assert_eq!(fate_after("55P03"), SessionFate::Close);
    }

    #[test]
    fn session_survives_errors_that_are_not_its_own() {
        for (failure, fate) in [
            (Failure::StaleSession, SessionFate::Close),
            (Failure::ConnectionLost, SessionFate::Close),
            (Failure::InternalError, SessionFate::Close),
            (Failure::ReadOnly, SessionFate::CloseIfOld),
            (Failure::Conflict, SessionFate::Keep),
            (Failure::LockTimeout, SessionFate::Keep),
            (Failure::Cancelled, SessionFate::Keep),
            (Failure::ServerFault, SessionFate::Keep),
            (Failure::Unexpected, SessionFate::Keep),
        ] {
            assert_eq!(failure.session_fate(), fate, "{failure:?}");
        }
    }
}
