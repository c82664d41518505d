//! TLS to a real Redis.

use std::path::PathBuf;

use orderly::config::{BreakerConfig, RedisConfig};
use orderly::redis_client::RedisClient;
use orderly::resilience::breaker::Breaker;
use orderly::telemetry::metrics::{self, BreakerMetrics};
use tokio::runtime::Handle;

use crate::support::app::patient;
use crate::support::certificates::Authority;
use crate::support::redis_tls::TlsRedis;

async fn ping(server: &TlsRedis, ca: Option<PathBuf>) -> Result<String, String> {
    let config = RedisConfig {
        ca_certificate: ca,
        ..patient().redis
    };
    let metrics = BreakerMetrics::new().unwrap();
    let breaker = Breaker::new("redis", BreakerConfig::default(), metrics);
    let seconds = metrics::redis_latency().unwrap();
    let client =
        RedisClient::new(&server.url(), &config, breaker, seconds, Handle::current()).unwrap();
    let ping = client.run("PING", |mut connection| async move {
        redis::cmd("PING").query_async(&mut connection).await
    });
    ping.await.map_err(|why| why.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn trusts_redis_only_with_ca_and_matching_name() {
    let authority = Authority::new();
    let server = TlsRedis::start(&authority.leaf(), "canary").await;
    let ca = authority.certificate();
    assert_eq!(ping(&server, Some(ca.clone())).await.as_deref(), Ok("PONG"));

    let stranger = Authority::new();
    let why = ping(&server, Some(stranger.certificate()))
        .await
        .unwrap_err();
    assert!(why.contains("UnknownIssuer"), "{why}");
    let why = ping(&server, None).await.unwrap_err();
    assert!(why.contains("UnknownIssuer"), "{why}");

    let elsewhere = authority.leaf_for("elsewhere.example");
    let server = TlsRedis::start(&elsewhere, "canary").await;
    let why = ping(&server, Some(ca)).await.unwrap_err();
    assert!(why.contains("not valid for name \"127.0.0.1\""), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_unusable_ca_file() {
    let authority = Authority::new();
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
        let breaker = Breaker::new(
            "redis",
            BreakerConfig::default(),
            BreakerMetrics::new().unwrap(),
        );
        let seconds = metrics::redis_latency().unwrap();
        let client = RedisClient::new(
            "rediss://localhost",
            &config,
            breaker,
            seconds,
            Handle::current(),
        );
        let why = format!("{:#}", client.err().expect("a client"));
        assert!(why.starts_with("ORDERLY__REDIS__CA_CERTIFICATE: "), "{why}");
        assert!(why.contains(fault), "{why}");
    }
}
