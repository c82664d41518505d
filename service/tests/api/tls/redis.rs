//! TLS to a real Redis.

use std::path::PathBuf;

use orderly::config::{BreakerConfig, RedisConfig};
use orderly::redis_client::RedisClient;
use orderly::resilience::breaker::Breaker;
use orderly::telemetry::metrics::Metrics;
use tokio::runtime::Handle;

use crate::support::app::lenient_timeouts;
use crate::support::certificates::CertificateAuthority;
use crate::support::redis_tls::TlsRedisServer;

async fn ping(server: &TlsRedisServer, ca: Option<PathBuf>) -> Result<String, String> {
    let config = RedisConfig {
        ca_certificate: ca,
        ..lenient_timeouts().redis
    };
    let metrics = Metrics::new().unwrap();
    let breaker = Breaker::new("redis", BreakerConfig::default(), metrics.breakers);
    let seconds = metrics.dependencies.redis_command_duration;
    let client =
        RedisClient::new(&server.url(), &config, breaker, seconds, Handle::current()).unwrap();
    let ping = client.run("PING", |mut connection| async move {
        redis::cmd("PING").query_async(&mut connection).await
    });
    ping.await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn trusts_redis_only_with_ca_and_matching_name() {
    let authority = CertificateAuthority::new();
    let server = TlsRedisServer::start(&authority.leaf(), "canary").await;
    let ca = authority.certificate();
    assert_eq!(ping(&server, Some(ca.clone())).await.as_deref(), Ok("PONG"));

    let other_authority = CertificateAuthority::new();
    let error = ping(&server, Some(other_authority.certificate()))
        .await
        .unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    let error = ping(&server, None).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");

    let elsewhere = authority.leaf_for("elsewhere.example");
    let server = TlsRedisServer::start(&elsewhere, "canary").await;
    let error = ping(&server, Some(ca)).await.unwrap_err();
    assert!(
        error.contains("not valid for name \"127.0.0.1\""),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_unusable_ca_file() {
    let authority = CertificateAuthority::new();
    for (ca, fault) in [
        (
            PathBuf::from("/nowhere/ca.crt"),
            "/nowhere/ca.crt can't be read",
        ),
        (authority.leaf().key, "has no certificate in PEM"),
    ] {
        let config = RedisConfig {
            ca_certificate: Some(ca),
            ..RedisConfig::default()
        };
        let metrics = Metrics::new().unwrap();
        let breaker = Breaker::new("redis", BreakerConfig::default(), metrics.breakers);
        let seconds = metrics.dependencies.redis_command_duration;
        let client = RedisClient::new(
            "rediss://localhost",
            &config,
            breaker,
            seconds,
            Handle::current(),
        );
        let error = format!("{:#}", client.err().expect("a client"));
        assert!(
            error.starts_with("ORDERLY__REDIS__CA_CERTIFICATE: "),
            "{error}"
        );
        assert!(error.contains(fault), "{error}");
    }
}
