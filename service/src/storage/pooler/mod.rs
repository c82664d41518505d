//! Connections through a pooler in transaction mode.
//!
//! # Problem
//!
//! PgBouncer in transaction mode lends a server connection for one transaction only. A session that
//! spans transactions does not exist, so three things break that work on a connection to Postgres:
//!
//! - The pooler rejects the startup parameter `options`, which carries the session parameters. A
//!   parameter that is set later stays on a server connection that the next transaction may not get,
//!   and that other clients do get.
//! - A statement that was prepared in one transaction is unknown in the next one, or the name belongs
//!   to a statement of another replica: `prepared statement "s3" already exists`. PgBouncer 1.21 and
//!   newer can track names (`max_prepared_statements`), but then a change of a table leaves it with
//!   plans that fail until its server connections are closed.
//! - `LISTEN` and advisory locks of a session end with the transaction.
//!
//! # How it works
//!
//! [`PoolerProtocol`] is in the stream between tokio-postgres and the socket
//! ([`super::transport`]) and rewrites messages of the protocol (PostgreSQL manual, "Message
//! Formats"), so that the code above it stays the same:
//!
//! - A `Parse` loses its name and is remembered; each `Bind` is sent behind another `Parse` of the same
//!   text, in one batch, which the pooler gives to one server connection. The cache of diesel-async
//!   stays useful: it saves the round trip that describes the statement.
//! - `BEGIN` gets the session parameters as `SET LOCAL`.
//! - A statement outside a transaction is sent between such a `BEGIN` and a `COMMIT`, without a wait in
//!   between. Its rows are held back until the commit is confirmed, because the code above takes the
//!   first row for the proof that a change is durable.
//!
//! `LISTEN`, the relay lock and migrations use `database.direct_url`
//! ([`Database::dedicated_connection`](super::database::Database::dedicated_connection)). Nothing
//! depends on the version of the pooler.
//!
//! # Pitfalls
//!
//! - Postgres parses and plans each statement on each use: an order costs more than on a connection to
//!   Postgres (`docs/pgbouncer.md` has the figures).
//! - The rows of a statement outside a transaction are in memory until its commit. Long results need a
//!   transaction.
//! - `COPY` and `Flush` outside a transaction are not supported.
//! - tokio-postgres connects to a Unix socket without that stream, so `database.url` needs a host.
//!
//! # Tests
//!
//! `orders_work_through_pooler`, `lock_timeout_ends_wait_through_pooler` and others in
//! `tests/api/storage/pgbouncer.rs`, with real PgBouncers.

mod messages;
mod protocol;
mod requests;
mod responses;
#[cfg(test)]
mod tests;
mod verification;

pub(super) use protocol::PoolerProtocol;
pub(super) use requests::TransactionStart;
pub(super) use verification::{
    SESSION_MARKER, describe_pooler, explain_rejection, lacks_session, require_session,
    verify_addresses,
};
