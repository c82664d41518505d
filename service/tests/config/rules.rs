//! Settings that must fit each other, or a place or command that needs them.

use std::time::Duration;

use insta::assert_snapshot;

use super::{ed25519_pem, place};

#[test]
fn validates_settings_against_each_other() {
    let here = place("rules")
        .variable("ORDERLY__ORDERS__IDEMPOTENCY_WAIT_TIMEOUT", "6s")
        .variable("ORDERLY__DATABASE__STATEMENT_TIMEOUT", "5s")
        .variable("ORDERLY__PAYMENTS__LEASE_DURATION", "5s")
        .variable("ORDERLY__PAYMENTS__BACKOFF_CAP", "100ms");
    assert_snapshot!(here.mistakes(), @"
    The configuration has 4 problems:

      ORDERLY__ORDERS__IDEMPOTENCY_WAIT_TIMEOUT (environment)
        does not fit: orders.idempotency_wait_timeout = 6s (environment), database.lock_timeout = 5s (default)
        orders.idempotency_wait_timeout must be shorter than database.lock_timeout

      ORDERLY__DATABASE__STATEMENT_TIMEOUT (environment)
        does not fit: database.lock_timeout = 5s (default), database.statement_timeout = 5s (environment)
        database.lock_timeout must be shorter than database.statement_timeout

      ORDERLY__PAYMENTS__LEASE_DURATION (environment)
        does not fit: payments.timeout = 5s (default), payments.timeout = 5s (default), payments.lease_duration = 5s (environment)
        payments.timeout + payments.timeout must be shorter than payments.lease_duration

      ORDERLY__PAYMENTS__BACKOFF_CAP (environment)
        does not fit: payments.backoff_base = 500ms (default), payments.backoff_cap = 100ms (environment)
        payments.backoff_base must not be longer than payments.backoff_cap
    ");
}

#[test]
fn skips_cross_field_validation_of_invalid_setting() {
    let here = place("one-at-a-time")
        .variable("ORDERLY__DATABASE__LOCK_TIMEOUT", "soon")
        .variable("ORDERLY__DATABASE__STATEMENT_TIMEOUT", "4s");
    let mistakes = here.mistakes();
    assert!(mistakes.contains("has 1 problem:"), "{mistakes}");
}

#[test]
fn shutdown_phases_must_fit_into_grace_period() {
    let here = place("grace")
        .file("config/default.toml", "[shutdown]\ngrace_period = '42s'")
        .variable("ORDERLY__SHUTDOWN__JOBS_TIMEOUT", "11s");
    assert_snapshot!(here.mistakes(), @"
    The configuration has 1 problem:

      ORDERLY__SHUTDOWN__JOBS_TIMEOUT (environment)
        does not fit: shutdown.drain_delay = 5s (default), shutdown.drain_timeout = 20s (default), shutdown.jobs_timeout = 11s (environment), shutdown.pools_timeout = 5s (default), shutdown.telemetry_timeout = 2s (default), shutdown.grace_period = 42s (config/default.toml)
        shutdown.drain_delay + shutdown.drain_timeout + shutdown.jobs_timeout + shutdown.pools_timeout + shutdown.telemetry_timeout must not be longer than shutdown.grace_period
    ");
    here.variable("ORDERLY__SHUTDOWN__JOBS_TIMEOUT", "10s")
        .load();
}

#[test]
fn accepts_equal_backoff_base_and_cap() {
    let here = place("constant-backoff").variable("ORDERLY__PAYMENTS__BACKOFF_CAP", "500ms");
    assert_eq!(
        here.load().settings.payments.backoff_cap,
        Duration::from_millis(500)
    );
}

#[test]
fn production_requires_a_signing_key() {
    let here = place("production").variable("ORDERLY_ENV", "production");
    assert_snapshot!(here.mistakes(), @"
    The configuration has 1 problem:

      ORDERLY__AUTH__SIGNING_KEY
        is not set
        required in production: an Ed25519 key in PKCS#8 PEM (openssl genpkey -algorithm ed25519)
    ");
    here.variable("ORDERLY__AUTH__SIGNING_KEY", &ed25519_pem())
        .load();
}

#[test]
fn missing_database_url_shows_example() {
    let settings = place("no-database").load().settings;
    assert_snapshot!(settings.database.url().unwrap_err(), @"
    The configuration has 1 problem:

      ORDERLY__DATABASE__URL
        is not set
        for example postgres://user:password@localhost:5432/orderly
    ");

    let url = "postgres://orderly:secret@localhost:5432/orderly";
    let here = place("database").variable("ORDERLY__DATABASE__URL", url);
    assert_eq!(here.load().settings.database.url().unwrap().expose(), url);
}
