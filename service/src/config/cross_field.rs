//! Settings that only make sense together.

use super::{Environment, Pooler, Settings};

/// A setting that does not go with the others.
pub(super) struct Conflict {
    pub(super) key: &'static str,
    /// The setting that it does not go with; nothing is said while that one is faulty itself.
    pub(super) other_key: &'static str,
    pub(super) message: &'static str,
    pub(super) fix: &'static str,
}

pub(super) fn conflicts(settings: &Settings) -> impl Iterator<Item = Conflict> {
    let Settings {
        environment,
        http,
        database,
        redis,
        auth,
        load_shedding,
        telemetry,
        ..
    } = settings;
    let missing_signing_key = *environment == Environment::Production && auth.signing_key.is_none();
    let certificate_without_key = http.tls_certificate.is_some() && http.tls_key.is_none();
    let key_without_certificate = http.tls_key.is_some() && http.tls_certificate.is_none();
    let unused_postgres_ca = database.ca_certificate.is_some() && !database.verifies_certificates();
    let has_pooler = database.pooler == Pooler::Transaction;
    let missing_direct_url = has_pooler && database.direct_url.is_none();
    let pooler_without_host = has_pooler && database.lacks_host();
    let unused_redis_ca = redis.ca_certificate.is_some() && !redis.has_tls();
    let limits_reversed = load_shedding.min_limit > load_shedding.max_limit;
    let batch_above_queue = telemetry.batch_size > telemetry.queue_size;
    let conflict = |key, other_key, message, fix| Conflict {
        key,
        other_key,
        message,
        fix,
    };
    [
        missing_signing_key.then(|| {
            conflict(
                "auth.signing_key",
                "auth.signing_key",
                "is not set",
                "required in production: an Ed25519 key in PKCS#8 PEM (openssl genpkey -algorithm ed25519)",
            )
        }),
        certificate_without_key.then(|| {
            conflict(
                "http.tls_key",
                "http.tls_certificate",
                "is not set, and http.tls_certificate is",
                "set both for TLS, or none",
            )
        }),
        key_without_certificate.then(|| {
            conflict(
                "http.tls_certificate",
                "http.tls_key",
                "is not set, and http.tls_key is",
                "set both for TLS, or none",
            )
        }),
        unused_postgres_ca.then(|| {
            conflict(
                "database.ca_certificate",
                "database.url",
                "is set, and database.url does not ask for it",
                "add ?sslmode=verify-full to database.url, or unset this one",
            )
        }),
        missing_direct_url.then(|| {
            conflict(
                "database.direct_url",
                "database.pooler",
                "is not set, and database.pooler is transaction",
                "set it to the address of Postgres itself: LISTEN, session locks and migrations need it",
            )
        }),
        pooler_without_host.then(|| {
            conflict(
                "database.url",
                "database.pooler",
                "names no host, and database.pooler is transaction",
                "give the pooler's host and port, for example postgres://user:password@127.0.0.1:6432/orderly",
            )
        }),
        unused_redis_ca.then(|| {
            conflict(
                "redis.ca_certificate",
                "redis.url",
                "is set, and redis.url does not ask for TLS",
                "begin redis.url with rediss://, or unset this one",
            )
        }),
        limits_reversed.then(|| {
            conflict(
                "load_shedding.min_limit",
                "load_shedding.max_limit",
                "is above load_shedding.max_limit",
                "lower it, or raise load_shedding.max_limit",
            )
        }),
        batch_above_queue.then(|| {
            conflict(
                "telemetry.batch_size",
                "telemetry.queue_size",
                "is above telemetry.queue_size",
                "lower it, or raise telemetry.queue_size",
            )
        }),
    ]
    .into_iter()
    .flatten()
}
