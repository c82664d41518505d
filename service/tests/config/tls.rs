//! Settings of TLS and of who may call: what is taken, and what is told to whom it is not.

use insta::assert_snapshot;

use super::config_dir;

#[test]
fn certificate_and_key_must_be_set_together() {
    let certificate = config_dir("tls-1").variable("ORDERLY__HTTP__TLS_CERTIFICATE", "api.crt");
    assert_snapshot!(certificate.error_message(), @"
    The configuration has 1 problem:

      ORDERLY__HTTP__TLS_KEY
        is not set, and http.tls_certificate is
        set both for TLS, or none
    ");
    certificate
        .variable("ORDERLY__HTTP__TLS_KEY", "api.key")
        .load();
    let key = config_dir("tls-2").variable("ORDERLY__HTTP__TLS_KEY", "api.key");
    assert!(
        key.error_message()
            .contains("ORDERLY__HTTP__TLS_CERTIFICATE")
    );
}

#[test]
fn rejects_unused_ca_certificate() {
    let dir = config_dir("tls-ca")
        .variable(
            "ORDERLY__DATABASE__URL",
            "postgres://db/orderly?sslmode=require",
        )
        .variable("ORDERLY__DATABASE__CA_CERTIFICATE", "ca.crt")
        .variable("ORDERLY__REDIS__URL", "redis://cache")
        .variable("ORDERLY__REDIS__CA_CERTIFICATE", "ca.crt");
    assert_snapshot!(dir.error_message(), @"
    The configuration has 2 problems:

      ORDERLY__DATABASE__CA_CERTIFICATE (environment)
        is set, and database.url does not ask for it
        add ?sslmode=verify-full to database.url, or unset this one

      ORDERLY__REDIS__CA_CERTIFICATE (environment)
        is set, and redis.url does not ask for TLS
        begin redis.url with rediss://, or unset this one
    ");
    dir.variable(
        "ORDERLY__DATABASE__URL",
        "postgres://db/orderly?sslmode=verify-full",
    )
    .variable("ORDERLY__REDIS__URL", "rediss://cache")
    .load();
}

#[test]
fn rejects_unsupported_sslmodes() {
    for mode in ["prefer", "allow", "verify-ca", "on", ""] {
        let url = format!("postgres://orderly:canary@db/orderly?sslmode={mode}");
        let message = config_dir("tls-mode")
            .variable("ORDERLY__DATABASE__URL", &url)
            .error_message();
        let expected = "sslmode: expected disable, require or verify-full";
        assert!(message.contains(expected), "{mode}: {message}");
        assert!(!message.contains("canary"), "{mode}: {message}");
    }
    let url = "postgres://db/orderly?sslmode=verify-full&sslrootcert=ca.crt";
    let message = config_dir("tls-root")
        .variable("ORDERLY__DATABASE__URL", url)
        .error_message();
    assert!(message.contains("as database.ca_certificate"), "{message}");
}

#[test]
fn cors_origins_must_be_exact() {
    let variable = "ORDERLY__HTTP__CORS_ORIGINS";
    let good = config_dir("cors").variable(variable, "https://shop.example, http://localhost:3000");
    let origins = good.load().settings.http.cors_origins;
    assert_eq!(origins, ["https://shop.example", "http://localhost:3000"]);
    for wrong in [
        "*",
        "null",
        "shop.example",
        "https://*.shop.example",
        "https://shop.example/",
        "https://shop.example/page",
        "https://shop.example:443",
        "HTTPS://shop.example",
        "file:///tmp",
    ] {
        let message = config_dir("cors-wrong")
            .variable(variable, wrong)
            .error_message();
        assert!(message.contains("expected origins"), "{wrong}: {message}");
    }
}
