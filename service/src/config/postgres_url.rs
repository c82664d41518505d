//! The URL of Postgres: taken as a whole, or rejected.
//!
//! # Problem
//! tokio-postgres lets the last of two equal parameters win, keeps a broken `%` escape as text, and takes a password with an
//! `@` for a host. The settings of the service overwrite some parameters of the URL, so these have no effect.
//!
//! # How it works
//! Each parameter is supported with a list of values, belongs to a setting that the message names, or is unknown. The
//! message never shows a part of the URL: an unescaped `?` in a password makes its end look like a parameter.
//!
//! # Tests
//! `rejects_postgres_urls_with_ineffective_parts` in `service/tests/config/urls.rs`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::Host;

use super::SslMode;

const EXPECTED: &str = "expected a URL such as postgres://user:password@host:5432/database";

/// Parameters with the values that tokio-postgres knows.
const CHOICES: &[(&str, &[&str])] = &[
    ("target_session_attrs", &["any", "read-write", "read-only"]),
    ("load_balance_hosts", &["disable", "random"]),
    ("channel_binding", &["disable", "prefer", "require"]),
    ("sslnegotiation", &["postgres", "direct"]),
];

/// Parameters that are numbers above zero.
const NUMBERS: &[&str] = &["keepalives_interval", "keepalives_retries"];

/// Parameters that would have no effect, each with the place for it.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "sslrootcert",
        "give the CA's file as database.ca_certificate",
    ),
    ("application_name", "set database.application_name"),
    ("connect_timeout", "set database.connect_timeout"),
    ("keepalives_idle", "set database.keepalive"),
    (
        "keepalives",
        "leave it out; database.keepalive is the interval",
    ),
    ("tcp_user_timeout", "set database.tcp_user_timeout"),
    (
        "options",
        "leave it out; the service sets the session's parameters",
    ),
    ("user", "write it in front of the host"),
    ("password", "write it in front of the host"),
    ("dbname", "write it after the host"),
];

impl SslMode {
    /// Takes `sslmode` out of a URL, since tokio-postgres does not know `verify-full`. Returns it with the rest.
    ///
    /// # Errors
    /// Returns what is expected instead, without the URL, if the URL or one of its parameters is not supported.
    pub(crate) fn parse_url(url: &str) -> Result<(Self, tokio_postgres::Config), String> {
        let rest = ["postgres://", "postgresql://"]
            .into_iter()
            .find_map(|scheme| url.strip_prefix(scheme))
            .ok_or(EXPECTED)?;
        let (address, query) = match rest.split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (rest, None),
        };
        let has_host = check_address(address)?;
        let mut mode = Self::Disable;
        let mut seen = Vec::new();
        let mut others = Vec::new();
        for parameter in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = parameter.split_once('=').ok_or(UNKNOWN)?;
            let (name, value) = (decode(name)?, decode(value)?);
            match &*name {
                "sslmode" => mode = Self::parse(&value)?,
                _ => check_parameter(&name, &value, has_host)?,
            }
            if seen.contains(&name) {
                return Err(format!("{name}: given twice; keep one of the two"));
            }
            if name != "sslmode" {
                others.push(parameter);
            }
            seen.push(name);
        }
        if !has_host && !seen.iter().any(|name| name == "host" || name == "hostaddr") {
            return Err(format!("names no host; {EXPECTED}"));
        }
        let mut connection_config = format!("postgres://{address}?{}", others.join("&"))
            .parse::<tokio_postgres::Config>()
            .map_err(|_| EXPECTED)?;
        connection_config.ssl_mode(match mode {
            Self::Disable => tokio_postgres::config::SslMode::Disable,
            Self::Require | Self::VerifyFull => tokio_postgres::config::SslMode::Require,
        });
        Ok((mode, connection_config))
    }

    /// Returns `true` if a URL names no host, but a socket file or only an address.
    pub(super) fn url_lacks_host(url: &str) -> bool {
        let is_host = |host: &Host| matches!(host, Host::Tcp(_));
        Self::parse_url(url).is_ok_and(|(_, session)| {
            session.get_hosts().is_empty() || !session.get_hosts().iter().all(is_host)
        })
    }

    fn parse(value: &str) -> Result<Self, &'static str> {
        match value {
            "disable" => Ok(Self::Disable),
            "require" => Ok(Self::Require),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err("sslmode: expected disable, require or verify-full"),
        }
    }
}

const UNKNOWN: &str = "has a parameter that is not supported; supported are sslmode, target_session_attrs, \
     load_balance_hosts, channel_binding, sslnegotiation, keepalives_interval, keepalives_retries, and host, hostaddr \
     and port if there is none in front of the database; in a password write ? as %3F";

/// Checks everything in front of the `?`. Returns whether it names a host.
fn check_address(address: &str) -> Result<bool, String> {
    let (credentials, location) = match address.split_once('@') {
        Some((credentials, location)) => (credentials, location),
        None => ("", address),
    };
    if credentials.contains('/') || location.contains(['@', '#']) {
        return Err(
            "in a user name, password or database write @ as %40, / as %2F and # as %23".into(),
        );
    }
    let (hosts, database) = location.split_once('/').unwrap_or((location, ""));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    for part in [user, database, hosts] {
        decode(part)?;
    }
    check_escapes(password)?;
    if percent_decode_str(password).any(|byte| byte == 0) {
        return Err(CONTROL.into());
    }
    if !hosts.is_empty()
        && hosts
            .split(',')
            .any(|host| host.is_empty() || host.starts_with(':'))
    {
        return Err(format!("names an empty host; {EXPECTED}"));
    }
    Ok(!hosts.is_empty())
}

fn check_parameter(name: &str, value: &str, has_host: bool) -> Result<(), String> {
    if let Some((_, choices)) = CHOICES.iter().find(|(known, _)| *known == name) {
        return match choices.contains(&value) {
            true => Ok(()),
            false => Err(format!("{name}: expected one of {}", choices.join(", "))),
        };
    }
    if NUMBERS.contains(&name) {
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        return match value.parse() {
            Ok(1..=32_767_u32) if is_number => Ok(()),
            _ => Err(format!("{name}: expected a whole number from 1 to 32767")),
        };
    }
    if let Some((_, place)) = ELSEWHERE.iter().find(|(known, _)| *known == name) {
        return Err(format!("{name}: {place}"));
    }
    match name {
        "host" | "port" if has_host => Err(format!("{name}: given twice; keep one of the two")),
        "host" | "port" | "hostaddr" if !value.is_empty() => Ok(()),
        _ => Err(UNKNOWN.into()),
    }
}

const CONTROL: &str = "contains an escaped control character";

/// Decodes a part that must be text.
fn decode(part: &str) -> Result<Cow<'_, str>, &'static str> {
    check_escapes(part)?;
    let text = percent_decode_str(part)
        .decode_utf8()
        .map_err(|_| "has an escape that is not UTF-8")?;
    match text.contains(char::is_control) {
        true => Err(CONTROL),
        false => Ok(text),
    }
}

/// Rejects a `%` that is not followed by two hexadecimal digits (RFC 3986, section 2.1).
pub(super) fn check_escapes(part: &str) -> Result<(), &'static str> {
    let is_escape = |after: &str| {
        let digits = after.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    };
    match part.split('%').skip(1).all(is_escape) {
        true => Ok(()),
        false => {
            Err("has a % that is not followed by two hexadecimal digits; write % itself as %25")
        }
    }
}
