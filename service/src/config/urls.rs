//! URLs of Redis, the payment gateway and the collector: taken as a whole, or rejected.
//!
//! # Problem
//! The URL parser of browsers (WHATWG URL) repairs its input: it turns `\` into `/`, drops `.` segments and accepts one
//! slash after the scheme. The Redis client ignores unknown parameters, a fragment, and a user without a password.
//!
//! # How it works
//! A URL must be equal to its normal form, and each of its parts must have an effect.
//!
//! # Tests
//! `rejects_redis_urls_with_ineffective_parts` and `rejects_http_urls_with_ineffective_parts` in
//! `service/tests/config/urls.rs`.

use reqwest::Url;

use super::postgres_url::check_escapes;

/// Returns `true` for a URL of one of these schemes that consists of a host, a port and a path.
pub(super) fn is_plain_url(text: &str, schemes: &[&str]) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let default_port = match url.scheme() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    schemes.contains(&url.scheme())
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && split(text, default_port) == split(url.as_str(), default_port)
}

/// Splits a URL into its scheme, host with port, and path: without the default port, the case of the host and a `/`
/// at the end, which have no meaning.
fn split<'a>(url: &'a str, default_port: &str) -> Option<(&'a str, String, &'a str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.strip_suffix(default_port).unwrap_or(host);
    let path = path.strip_suffix('/').unwrap_or(path);
    Some((scheme, host.to_ascii_lowercase(), path))
}

/// Returns `true` for a plain URL without a path.
pub(super) fn is_origin_url(text: &str, schemes: &[&str]) -> bool {
    is_plain_url(text, schemes) && Url::parse(text).is_ok_and(|url| url.path() == "/")
}

/// Returns `true` for a URL of Redis that has nothing the client would ignore.
pub(super) fn is_redis_url(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_complete = match url.scheme() {
        "redis" | "rediss" => is_complete_tcp_url(text, &url),
        "unix" | "redis+unix" => has_only_known_parameters(&url),
        _ => false,
    };
    is_complete
        && url.fragment().is_none()
        && check_escapes(text).is_ok()
        && redis::Client::open(text).is_ok()
}

fn is_complete_tcp_url(text: &str, url: &Url) -> bool {
    let database = url.path().strip_prefix('/').unwrap_or_default();
    let is_database = database.len() <= 9 && database.bytes().all(|byte| byte.is_ascii_digit());
    // The client sends no password if there is a user only, or if the password is empty.
    let has_password = url.password().is_some_and(|password| !password.is_empty());
    is_database
        && url.query().is_none()
        && text.starts_with(&format!("{}://", url.scheme()))
        && text.contains('@') == has_password
}

/// A socket's path and, as parameters, the number of the database, the user and the password.
fn has_only_known_parameters(url: &Url) -> bool {
    let mut names: Vec<_> = url.query_pairs().map(|(name, _)| name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    let is_known = |name: &std::borrow::Cow<'_, str>| matches!(&**name, "db" | "user" | "pass");
    names.len() == count && names.iter().all(is_known) && url.path().len() > 1
}
