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

impl SslMode {
    /// Takes `sslmode` out of a URL, since tokio-postgres does not know `verify-full`. Returns it with the rest.
    ///
    /// # Errors
    /// Returns what is expected instead, without the URL, if the URL or one of its parameters is not supported.
    pub(crate) fn parse_url(url: &str) -> Result<(Self, tokio_postgres::Config), &'static str> {
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = Self::Disable;
        let mut other_parameters = Vec::new();
        for parameter in query.split('&') {
            mode = match parameter.split_once('=') {
                Some(("sslmode", "disable")) => Self::Disable,
                Some(("sslmode", "require")) => Self::Require,
                Some(("sslmode", "verify-full")) => Self::VerifyFull,
                Some(("sslmode", _)) => {
                    return Err("sslmode: expected disable, require or verify-full");
                }
                Some(("sslrootcert", _)) => {
                    return Err("sslrootcert: give the CA's file as database.ca_certificate");
                }
                _ => {
                    other_parameters.push(parameter);
                    mode
                }
            };
        }
        let mut connection_config = format!("{address}?{}", other_parameters.join("&"))
            .parse::<tokio_postgres::Config>()
            .ok()
            .filter(|_| is_url)
            .ok_or("expected a URL such as postgres://user:password@host:5432/database")?;
        connection_config.ssl_mode(match mode {
            Self::Disable => tokio_postgres::config::SslMode::Disable,
            Self::Require | Self::VerifyFull => tokio_postgres::config::SslMode::Require,
        });
        Ok((mode, connection_config))
    }
}
