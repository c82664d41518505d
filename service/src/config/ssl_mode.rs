//! `sslmode` of the URL of Postgres.

/// How a connection to Postgres is protected.
///
/// libpq knows six ways. Those left out promise less than they seem to: `allow` and `prefer` go on without TLS when
/// whoever is in between says that the server has none, and `verify-ca` takes any certificate of that CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Not at all.
    Disable,
    /// Encrypted, for whoever answers: against listening, not against somebody in between.
    Require,
    /// Encrypted, and the server's certificate is of a CA that is trusted and for the host that the URL names.
    VerifyFull,
}
