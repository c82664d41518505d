//! Cross-field validation: settings that must fit each other, the environment or the command.

use std::time::Duration;

use insta::assert_snapshot;
use orderly::config::{self, Pooler};

use super::{config_dir, ed25519_pem};

#[test]
fn validates_settings_against_each_other() {
    let dir = config_dir("rules")
        .variable("ORDERLY__ORDERS__IDEMPOTENCY_WAIT_TIMEOUT", "6s")
        .variable("ORDERLY__DATABASE__STATEMENT_TIMEOUT", "5s")
        .variable("ORDERLY__PAYMENT_JOBS__LEASE_DURATION", "5s")
        .variable("ORDERLY__PAYMENT_JOBS__BACKOFF_CAP", "100ms");
    assert_snapshot!(dir.error_message(), @"
    The configuration has 4 problems:

      ORDERLY__ORDERS__IDEMPOTENCY_WAIT_TIMEOUT (environment)
        does not fit: orders.idempotency_wait_timeout = 6s (environment), database.lock_timeout = 5s (default)
        orders.idempotency_wait_timeout must be shorter than database.lock_timeout

      ORDERLY__DATABASE__STATEMENT_TIMEOUT (environment)
        does not fit: database.lock_timeout = 5s (default), database.statement_timeout = 5s (environment)
        database.lock_timeout must be shorter than database.statement_timeout

      ORDERLY__PAYMENT_JOBS__LEASE_DURATION (environment)
        does not fit: payments.timeout = 5s (default), payments.timeout = 5s (default), payment_jobs.lease_duration = 5s (environment)
        payments.timeout + payments.timeout must be shorter than payment_jobs.lease_duration

      ORDERLY__PAYMENT_JOBS__BACKOFF_CAP (environment)
        does not fit: payment_jobs.backoff_base = 500ms (default), payment_jobs.backoff_cap = 100ms (environment)
        payment_jobs.backoff_base must not be longer than payment_jobs.backoff_cap
    ");
}

#[test]
fn skips_cross_field_validation_of_invalid_setting() {
    let dir = config_dir("one-at-a-time")
        .variable("ORDERLY__DATABASE__LOCK_TIMEOUT", "soon")
        .variable("ORDERLY__DATABASE__STATEMENT_TIMEOUT", "4s");
    let message = dir.error_message();
    assert!(message.contains("has 1 problem:"), "{message}");
}

#[test]
fn shutdown_phases_must_fit_into_grace_period() {
    let dir = config_dir("grace")
        .file("config/default.toml", "[shutdown]\ngrace_period = '42s'")
        .variable("ORDERLY__SHUTDOWN__JOBS_TIMEOUT", "11s");
    assert_snapshot!(dir.error_message(), @"
    The configuration has 1 problem:

      ORDERLY__SHUTDOWN__JOBS_TIMEOUT (environment)
        does not fit: shutdown.drain_delay = 5s (default), shutdown.drain_timeout = 20s (default), shutdown.jobs_timeout = 11s (environment), shutdown.pools_timeout = 5s (default), shutdown.telemetry_timeout = 2s (default), shutdown.grace_period = 42s (config/default.toml)
        shutdown.drain_delay + shutdown.drain_timeout + shutdown.jobs_timeout + shutdown.pools_timeout + shutdown.telemetry_timeout must not be longer than shutdown.grace_period
    ");
    dir.variable("ORDERLY__SHUTDOWN__JOBS_TIMEOUT", "10s")
        .load();
}

#[test]
fn accepts_equal_backoff_base_and_cap() {
    let dir =
        config_dir("constant-backoff").variable("ORDERLY__PAYMENT_JOBS__BACKOFF_CAP", "500ms");
    assert_eq!(
        dir.load().settings.payment_jobs.backoff_cap,
        Duration::from_millis(500)
    );
}

#[test]
fn production_requires_signing_key() {
    let dir = config_dir("production").variable("ORDERLY_ENV", "production");
    assert_snapshot!(dir.error_message(), @"
    The configuration has 1 problem:

      ORDERLY__AUTH__SIGNING_KEY
        is not set
        required in production: an Ed25519 key in PKCS#8 PEM (openssl genpkey -algorithm ed25519)
    ");
    dir.variable("ORDERLY__AUTH__SIGNING_KEY", &ed25519_pem())
        .load();
}

#[test]
fn missing_database_url_shows_example() {
    let settings = config_dir("no-database").load().settings;
    assert_snapshot!(settings.database.url().unwrap_err(), @"
    The configuration has 1 problem:

      ORDERLY__DATABASE__URL
        is not set
        for example postgres://user:password@localhost:5432/orderly
    ");

    let url = "postgres://orderly:secret@localhost:5432/orderly";
    let dir = config_dir("database").variable("ORDERLY__DATABASE__URL", url);
    assert_eq!(dir.load().settings.database.url().unwrap().expose(), url);
}

#[test]
fn pooler_needs_host_and_direct_url() {
    let direct = "postgres://orderly:secret@postgres:5432/orderly";
    let dir = config_dir("pooler")
        .variable("ORDERLY__DATABASE__POOLER", "transaction")
        .variable(
            "ORDERLY__DATABASE__URL",
            "postgres://orderly@%2Frun%2Fpgbouncer/orderly",
        );
    assert_snapshot!(dir.error_message(), @"
    The configuration has 2 problems:

      ORDERLY__DATABASE__DIRECT_URL
        is not set, and database.pooler is transaction
        set it to the address of Postgres itself: LISTEN, session locks and migrations need it

      ORDERLY__DATABASE__URL (environment)
        names no host, and database.pooler is transaction
        give the pooler's host and port, for example postgres://user:password@127.0.0.1:6432/orderly
    ");
    let settings = dir
        .variable(
            "ORDERLY__DATABASE__URL",
            "postgres://orderly@pgbouncer:6432/orderly",
        )
        .variable("ORDERLY__DATABASE__DIRECT_URL", direct)
        .load()
        .settings;
    assert_eq!(settings.database.pooler, Pooler::Transaction);
    assert_eq!(settings.database.direct_url.unwrap().expose(), direct);
}

#[test]
fn direct_url_may_be_what_needs_ca_certificate() {
    config_dir("direct-ca")
        .variable("ORDERLY__DATABASE__CA_CERTIFICATE", "/etc/ssl/postgres.pem")
        .variable(
            "ORDERLY__DATABASE__URL",
            "postgres://orderly@pgbouncer:6432/orderly",
        )
        .variable(
            "ORDERLY__DATABASE__DIRECT_URL",
            "postgres://orderly@postgres:5432/orderly?sslmode=verify-full",
        )
        .load();
}

#[test]
fn rejects_settings_that_never_take_effect() {
    let dir = config_dir("relations")
        .variable("ORDERLY__LOAD_SHEDDING__MAX_LIMIT", "8")
        .variable("ORDERLY__RETRY__BACKOFF_CAP", "1ms")
        .variable("ORDERLY__REDIS__BACKOFF_BASE", "2s")
        .variable("ORDERLY__BREAKER__SLOW_CALL_DURATION_THRESHOLD", "4s")
        .variable("ORDERLY__CACHE__TTL", "1s")
        .variable("ORDERLY__CACHE__LOCAL_TTL", "2s")
        .variable("ORDERLY__CACHE__NEGATIVE_TTL", "3s");
    assert_snapshot!(dir.error_message(), @"
    The configuration has 6 problems:

      ORDERLY__BREAKER__SLOW_CALL_DURATION_THRESHOLD (environment)
        does not fit: breaker.slow_call_duration_threshold = 4s (environment), payments.read_timeout = 4s (default)
        breaker.slow_call_duration_threshold must be shorter than payments.read_timeout

      ORDERLY__RETRY__BACKOFF_CAP (environment)
        does not fit: retry.backoff_base = 50ms (default), retry.backoff_cap = 1ms (environment)
        retry.backoff_base must not be longer than retry.backoff_cap

      ORDERLY__REDIS__BACKOFF_BASE (environment)
        does not fit: redis.backoff_base = 2s (environment), redis.backoff_cap = 1s (default)
        redis.backoff_base must not be longer than redis.backoff_cap

      ORDERLY__CACHE__LOCAL_TTL (environment)
        does not fit: cache.local_ttl = 2s (environment), cache.ttl = 1s (environment)
        cache.local_ttl must not be longer than cache.ttl

      ORDERLY__CACHE__NEGATIVE_TTL (environment)
        does not fit: cache.negative_ttl = 3s (environment), cache.ttl = 1s (environment)
        cache.negative_ttl must not be longer than cache.ttl

      ORDERLY__LOAD_SHEDDING__MIN_LIMIT
        is above load_shedding.max_limit
        lower it, or raise load_shedding.max_limit
    ");
    // Equal is as good where nothing has to be left.
    dir.variable("ORDERLY__LOAD_SHEDDING__MAX_LIMIT", "16")
        .variable("ORDERLY__RETRY__BACKOFF_CAP", "50ms")
        .variable("ORDERLY__REDIS__BACKOFF_BASE", "1s")
        .variable("ORDERLY__BREAKER__SLOW_CALL_DURATION_THRESHOLD", "3s")
        .variable("ORDERLY__CACHE__TTL", "3s")
        .load();
    let quick = config_dir("relations-quick").variable("ORDERLY__PAYMENTS__TIMEOUT", "3s");
    let message = quick.error_message();
    let slow_call = "breaker.slow_call_duration_threshold must be shorter than payments.timeout";
    assert!(message.contains(slow_call), "{message}");
}

#[test]
fn warns_at_startup_of_suboptimal_settings() {
    assert!(config::warnings(&config_dir("no-advice").load().settings).is_empty());
    let dir = config_dir("advice")
        .variable("ORDERLY__SHUTDOWN__DRAIN_TIMEOUT", "1s")
        .variable("ORDERLY__HTTP__REQUEST_TIMEOUT", "3s");
    assert_snapshot!(config::warnings(&dir.load().settings).join("\n"), @"
    database.statement_timeout = 8s, http.request_timeout = 3s: database.statement_timeout should be shorter than http.request_timeout
    http.request_timeout = 3s, shutdown.drain_timeout = 1s: http.request_timeout should be shorter than shutdown.drain_timeout
    ");
    // It has no database: it gets no further than this.
    let started = dir.run(&["serve"]);
    let log =
        String::from_utf8(started.stdout).unwrap() + &String::from_utf8(started.stderr).unwrap();
    assert!(log.contains("shutdown.drain_timeout = 1s"), "{log}");
}

#[test]
fn payment_window_and_expiry_jobs_are_validated() {
    for (number, (window, is_valid)) in [
        ("59s", false),
        ("1m", true),
        ("30days", true),
        ("31days", false),
        ("10", false),
    ]
    .into_iter()
    .enumerate()
    {
        let dir = config_dir(&format!("payment-window-{number}"))
            .variable("ORDERLY__ORDERS__PAYMENT_WINDOW", window);
        if is_valid {
            assert!(dir.load().settings.orders.payment_window >= Duration::from_mins(1));
        } else {
            let message = dir.error_message();
            assert!(message.contains("PAYMENT_WINDOW"), "{window}: {message}");
        }
    }
    let message = config_dir("expiry-backoff")
        .variable("ORDERLY__ORDER_EXPIRY_JOBS__BACKOFF_CAP", "100ms")
        .error_message();
    let fix =
        "order_expiry_jobs.backoff_base must not be longer than order_expiry_jobs.backoff_cap";
    assert!(message.contains(fix), "{message}");
}
