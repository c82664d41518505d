//! TLS on the API's listener, with real clients.

use std::time::{Duration, Instant};

use orderly::config::HttpConfig;
use orderly::tls::server;
use reqwest::{Client, ClientBuilder, Version, tls};

use crate::support::app::TestApp;
use crate::support::certificates::{CertificateAuthority, LeafCertificate};
use crate::support::eventually::eventually;
use crate::support::raw_connection::RawConnection;

async fn app_with(leaf: &LeafCertificate) -> TestApp {
    app_with_http2(leaf, false).await
}

async fn app_with_http2(leaf: &LeafCertificate, http2: bool) -> TestApp {
    TestApp::start_with(|settings| {
        settings.http.tls_certificate = Some(leaf.certificate.clone());
        settings.http.tls_key = Some(leaf.key.clone());
        settings.http.http2 = http2;
    })
    .await
}

fn client(
    authority: &CertificateAuthority,
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Client {
    let builder = Client::builder()
        .no_proxy()
        .tls_certs_only([authority.root_certificate()]);
    change(builder).build().unwrap()
}

fn url(app: &TestApp) -> String {
    format!("https://{}/v1/products", app.app.address)
}

#[tokio::test(flavor = "multi_thread")]
async fn negotiates_http_and_tls_versions() {
    let authority = CertificateAuthority::new();
    let app = app_with_http2(&authority.leaf(), true).await;
    let clients = [
        (client(&authority, |it| it), Version::HTTP_2),
        (
            client(&authority, ClientBuilder::http1_only),
            Version::HTTP_11,
        ),
        (
            client(&authority, |it| it.tls_version_max(tls::Version::TLS_1_2)),
            Version::HTTP_2,
        ),
        (
            client(&authority, |it| it.tls_version_min(tls::Version::TLS_1_3)),
            Version::HTTP_2,
        ),
    ];
    for (client, version) in clients {
        let response = client.get(url(&app)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.version(), version);
        // A year, so that the browser does not come back without TLS.
        let hsts = &response.headers()["strict-transport-security"];
        assert_eq!(hsts, "max-age=31536000");
    }
    // Probes come from this machine, and stay plain.
    app.get_admin("/readyz").await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_not_offered_unless_opted_in() {
    let authority = CertificateAuthority::new();
    let app = app_with(&authority.leaf()).await;
    let response = client(&authority, |it| it).get(url(&app)).send().await;
    assert_eq!(response.unwrap().version(), Version::HTTP_11);
    // Without negotiation, the first frame of HTTP/2 is a malformed request.
    let only_http2 = client(&authority, ClientBuilder::http2_prior_knowledge);
    only_http2.get(url(&app)).send().await.unwrap_err();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_connections_have_limits_of_plain_ones() {
    let authority = CertificateAuthority::new();
    let leaf = authority.leaf();
    let app = TestApp::start_with(|settings| {
        settings.http.tls_certificate = Some(leaf.certificate.clone());
        settings.http.tls_key = Some(leaf.key.clone());
        settings.http.request_head_timeout = Duration::from_secs(1);
        settings.http.max_connections_per_client = 2;
    })
    .await;
    // Each is silent before its handshake, and has a place of the client for the head timeout.
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(RawConnection::open(app.app.address).await);
    }
    app.wait_for_metric(
        r#"orderly_http_connections{listener="api",state="head"}"#,
        2.0,
    )
    .await;
    let client = client(&authority, |it| it);
    client.get(url(&app)).send().await.unwrap_err();
    for connection in &mut silent {
        assert_eq!(connection.read_to_end().await.0, "");
    }
    let response = eventually("the client is served again", async || {
        client.get(url(&app)).send().await.ok()
    });
    assert_eq!(response.await.status(), 200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_plain_http_and_untrusted_ca() {
    let authority = CertificateAuthority::new();
    let app = app_with(&authority.leaf()).await;
    let plain = format!("http://{}/v1/products", app.app.address);
    app.client.get(plain).send().await.unwrap_err();
    let other_authority = CertificateAuthority::new();
    let error = client(&other_authority, |it| it)
        .get(url(&app))
        .send()
        .await;
    let error = format!("{:?}", error.unwrap_err());
    assert!(error.contains("UnknownIssuer"), "{error}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_http2_client_does_not_delay_shutdown() {
    let authority = CertificateAuthority::new();
    let leaf = authority.leaf();
    let app = TestApp::start_with(|settings| {
        settings.http.tls_certificate = Some(leaf.certificate.clone());
        settings.http.tls_key = Some(leaf.key.clone());
        settings.http.http2 = true;
        settings.shutdown.drain_timeout = Duration::from_mins(1);
    })
    .await;
    let client = client(&authority, |it| it);
    let response = client.get(url(&app)).send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    response.text().await.unwrap();
    let started_at = Instant::now();
    app.finish().await;
    let duration = started_at.elapsed();
    assert!(duration < Duration::from_secs(30), "{duration:?}");
    drop(client);
}

fn config_error(certificate: &LeafCertificate, key: &LeafCertificate) -> String {
    let http = HttpConfig {
        tls_certificate: Some(certificate.certificate.clone()),
        tls_key: Some(key.key.clone()),
        ..HttpConfig::default()
    };
    let error = server::config(&http).expect_err("it can't work");
    format!("{error:#}")
}

#[track_caller]
fn assert_one_line_with(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn unusable_certificate_fails_startup() {
    const CERTIFICATE: &str = "ORDERLY__HTTP__TLS_CERTIFICATE: ";
    const KEY: &str = "ORDERLY__HTTP__TLS_KEY: ";
    let authority = CertificateAuthority::new();
    let (good, other) = (authority.leaf(), authority.leaf());
    assert_one_line_with(&config_error(&good, &other), &[KEY, "is not the key of"]);
    let old = authority.leaf_valid(2000, 2001);
    assert_one_line_with(
        &config_error(&old, &old),
        &[CERTIFICATE, "can't be used", "expired"],
    );
    let early = authority.leaf_valid(3000, 3001);
    assert_one_line_with(
        &config_error(&early, &early),
        &[CERTIFICATE, "not valid yet"],
    );
    let missing = LeafCertificate {
        certificate: "/nowhere/api.crt".into(),
        key: "/nowhere/api.key".into(),
    };
    let unreadable = "can't be read";
    assert_one_line_with(
        &config_error(&missing, &good),
        &[CERTIFICATE, "/nowhere/api.crt", unreadable],
    );
    assert_one_line_with(
        &config_error(&good, &missing),
        &[KEY, "/nowhere/api.key", unreadable],
    );
    let swapped = LeafCertificate {
        certificate: good.key.clone(),
        key: good.certificate.clone(),
    };
    assert_one_line_with(
        &config_error(&swapped, &good),
        &[CERTIFICATE, "no certificate in PEM"],
    );
    assert_one_line_with(&config_error(&good, &swapped), &[KEY, unreadable]);
}
