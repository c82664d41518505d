//! The report of mistakes: all of them at once, each with where it is and what would be right.

use insta::assert_snapshot;

use super::config_dir;

#[test]
fn reports_every_error_of_every_layer_together() {
    let default = "
        [http]
        port = 70_000
        body_limit_bytes = 1.5
        [log]
        format = 'xml'
        [queue]
        size = 3";
    let dir = config_dir("all-at-once")
        .file("config/default.toml", default)
        .file("config/local.toml", "[http\n")
        .file(
            ".env",
            "ORDERLY__AUTH__TOKEN_LIFETIME=2h\nORDERLY__HTTP__BIND=localhost",
        )
        .variable("ORDERLY__DATABASE__POOL_SIZE", "many")
        .variable("ORDERLY__DATABASE__ACQUIRE_TIMEOUT", "10")
        .variable("ORDERLY__HTTP__WORKERS", "0")
        .flag("log.filter", "orderly=loud")
        .flag("payments.gateway_url", "pay.example");
    assert_snapshot!(dir.error_message(), @r#"
    The configuration has 12 problems:

      config/local.toml
        cannot be read
        TOML parse error at line 1: unclosed table, expected `]`

      http.body_limit_bytes in config/default.toml
        is 1.5
        expected a whole number from 1024 to 1048576

      http.port in config/default.toml
        is 70000
        expected a whole number from 0 to 65535

      log.format in config/default.toml
        is "xml"
        expected pretty or json

      queue.size in config/default.toml
        is not a setting
        `orderly config` lists every setting; remove this one

      ORDERLY__AUTH__TOKEN_LIFETIME (.env)
        is "2h"
        expected a duration from 1m to 1h, in whole seconds

      ORDERLY__HTTP__BIND (.env)
        is "localhost"
        expected an IP address such as 127.0.0.1, 0.0.0.0 or ::

      ORDERLY__DATABASE__ACQUIRE_TIMEOUT (environment)
        is "10"
        expected a duration from 10ms to 1m

      ORDERLY__DATABASE__POOL_SIZE (environment)
        is "many"
        expected a whole number from 1 to 1000

      ORDERLY__HTTP__WORKERS (environment)
        is 0
        expected a whole number from 1 to 256

      --set log.filter
        is "orderly=loud"
        expected a tracing filter such as info or warn,orderly=debug

      --set payments.gateway_url
        is "pay.example"
        expected an http or https URL without credentials, such as https://pay.example
    "#);
}

#[test]
fn suggests_nearest_name_for_unknown_setting() {
    let dir = config_dir("typos")
        .file("config/default.toml", "[database]\npoolsize = 4")
        .variable("ORDERLY__HTTP__PROT", "1")
        .variable("ORDERLY__HTTP_PORT", "1")
        .variable("ORDERLY__HTTP", "1")
        .flag("loging.filter", "info");
    assert_snapshot!(dir.error_message(), @"
    The configuration has 5 problems:

      database.poolsize in config/default.toml
        is not a setting
        did you mean database.pool_size?

      ORDERLY__HTTP (environment)
        is not a setting
        `orderly config` lists every setting; remove this one

      ORDERLY__HTTP_PORT (environment)
        is not a setting
        did you mean ORDERLY__HTTP__PORT?

      ORDERLY__HTTP__PROT (environment)
        is not a setting
        did you mean ORDERLY__HTTP__PORT?

      --set loging.filter
        is not a setting
        did you mean --set log.filter?
    ");
}

#[test]
fn suggests_new_name_of_renamed_setting() {
    for name in [
        "CONCURRENCY",
        "MAX_ATTEMPTS",
        "MIN_RETRY_DURATION",
        "POLL_INTERVAL",
        "LEASE_DURATION",
        "BACKOFF_BASE",
        "BACKOFF_CAP",
    ] {
        let old = format!("ORDERLY__PAYMENTS__{name}");
        let message = config_dir("renamed").variable(&old, "30s").error_message();
        let new = format!("did you mean ORDERLY__PAYMENT_JOBS__{name}?");
        assert!(message.contains(&new), "{message}");
    }
}

#[test]
fn unknown_environment_lists_valid_ones() {
    let dir = config_dir("unknown-environment").variable("ORDERLY_ENV", "prod");
    assert_snapshot!(dir.error_message(), @r#"
    The configuration has 1 problem:

      ORDERLY_ENV (environment)
        is "prod"
        expected development, test or production
    "#);
}

#[test]
fn reports_invalid_proxy_address_with_expected_format() {
    let dir = config_dir("no-proxy").variable(
        "ORDERLY__RATE_LIMIT__TRUSTED_PROXIES",
        "10.0.0.0/8,10.0.0.0/33",
    );
    let message = dir.error_message();
    assert!(
        message.contains("ORDERLY__RATE_LIMIT__TRUSTED_PROXIES")
            && message.contains("expected IP addresses or CIDR blocks, such as 10.0.0.0/8"),
        "{message}"
    );
}

#[test]
fn accepts_empty_section_but_not_unknown_section() {
    config_dir("empty-section")
        .file("config/default.toml", "[http]\n")
        .load();
    let message = config_dir("empty-unknown")
        .file("config/default.toml", "[htpp]\n")
        .error_message();
    assert!(message.contains("htpp in config/default.toml"), "{message}");
}
