//! Redis.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use super::check::{expects, in_range, in_whole_seconds};
use super::section::section;

section! {
    /// Redis: the event stream. Orders are taken without it.
    pub struct RedisConfig {
        /// Where it is: `redis://:password@host:6379/0`, `rediss://` for TLS. Unset: none is used.
        url: Option<Secret> = None,
            expects("a URL such as redis://:password@host:6379/0, without parameters and fragment", is_redis_url);
        /// PEM file with the CA that signed the server's certificate; for `rediss://`. Unset: the system's CAs.
        ca_certificate: Option<PathBuf> = None;
    }
    durations {
        /// How long opening a connection may take.
        connect_timeout = Duration::from_secs(2), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long one command may take.
        response_timeout = Duration::from_millis(500), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// Wait before connecting is tried again; it doubles with each further attempt.
        backoff_base = Duration::from_millis(100), in_range(Duration::from_millis(1)..=Duration::from_secs(10));
        /// The longest wait between two attempts to connect; at least `backoff_base`.
        backoff_cap = Duration::from_secs(1), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// TCP keepalive: the first probe after this much silence.
        keepalive = Duration::from_secs(30), in_whole_seconds(Duration::from_secs(1)..=Duration::from_hours(1));
        /// TCP user timeout: how long sent commands may stay unacknowledged before the connection counts as broken
        /// (Linux).
        tcp_user_timeout = Duration::from_secs(5), in_range(Duration::from_secs(1)..=Duration::from_mins(10));
    }
}

impl RedisConfig {
    /// Whether the URL asks for TLS.
    pub(super) fn has_tls(&self) -> bool {
        let url = self.url.as_ref().map_or("", |url| url.expose());
        url.starts_with("rediss://")
    }
}

fn is_redis_url(url: &Option<Secret>) -> bool {
    url.as_ref()
        .is_none_or(|url| super::urls::is_redis_url(url.expose()))
}
