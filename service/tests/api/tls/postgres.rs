//! TLS to a real Postgres, and to one who only says that he is.

use std::path::PathBuf;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use orderly::config::DatabaseConfig;
use orderly::storage::database::Databases;
use orderly::telemetry::metrics::Metrics;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;

use crate::support::app::{TestApp, lenient_timeouts, send};
use crate::support::certificates::{CertificateAuthority, postgres_ca};
use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::sql::query_number;

/// The connections of the service, with TLS and without.
async fn connections(database: &TestDatabase) -> (i64, i64) {
    let mut conn = database.connect().await;
    let mut count = async |ssl: bool| {
        let query = format!(
            "SELECT count(*) AS value FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE datname = '{}' AND application_name = 'orderly' AND ssl = {ssl}",
            database.name()
        );
        query_number(&mut conn, &query).await
    };
    (count(true).await, count(false).await)
}

async fn app_with(parameters: &str, ca: Option<PathBuf>) -> TestApp {
    TestApp::start_with(|settings| {
        let url = settings.database.url.as_ref().unwrap().expose();
        settings.database.url = Some(format!("{url}?{parameters}").into());
        settings.database.ca_certificate = ca;
        // Only the cancellation can end an abandoned statement.
        settings.database.lock_timeout = Duration::from_secs(200);
        settings.database.statement_timeout = Duration::from_secs(300);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_full_encrypts_every_connection() {
    let app = app_with("sslmode=verify-full", Some(postgres_ca())).await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let order = app
        .place_order(&customer, &[(&product, 2)])
        .await
        .expect(201);
    app.wait_for_order_status(&customer, &order, "paid").await;
    let (encrypted, plain) = connections(&app.database).await;
    assert!(encrypted > 2 && plain == 0, "{encrypted} {plain}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancels_abandoned_statement_over_tls() {
    let app = app_with("sslmode=verify-full", Some(postgres_ca())).await;
    let mut blocker = app.database.connect().await;
    let lock = "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE";
    blocker.batch_execute(lock).await.unwrap();
    let search = app
        .request(Method::GET, "/v1/products?search=a")
        .header("x-request-timeout-ms", "200");
    send(search, "")
        .await
        .expect_problem(408, "requested-timeout-exceeded");
    let waiting = format!(
        "pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'",
        app.database.name()
    );
    app.database.wait_for_row_count(&waiting, 0).await;
    blocker.batch_execute("ROLLBACK").await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn require_encrypts_and_disable_does_not() {
    let app = app_with("sslmode=require", None).await;
    let (encrypted, plain) = connections(&app.database).await;
    assert!(encrypted > 0 && plain == 0, "{encrypted} {plain}");
    app.finish().await;
    let app = app_with("sslmode=disable", None).await;
    let (encrypted, plain) = connections(&app.database).await;
    assert!(encrypted == 0 && plain > 0, "{encrypted} {plain}");
    app.finish().await;
}

/// Why there is no connection.
async fn connect_error(url: String, ca: PathBuf) -> String {
    let config = DatabaseConfig {
        ca_certificate: Some(ca),
        ..lenient_timeouts().database
    };
    let metrics = Metrics::new().unwrap();
    let databases = Databases::new(&url, &config, Handle::current(), &metrics).unwrap();
    let rejected = databases.requests.dedicated_connection().await;
    rejected.err().expect("a connection").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_postgres_certificate_for_other_name() {
    let database = TestDatabase::new().await;
    let (credentials, host) = database.url.split_once('@').unwrap();
    let host = host.replacen("127.0.0.1", "elsewhere.example", 1);
    let parameters = "hostaddr=127.0.0.1&sslmode=verify-full";
    let url = format!("{credentials}@{host}?{parameters}");
    let error = connect_error(url, postgres_ca()).await;
    let expected = "not valid for name \"elsewhere.example\"";
    assert!(error.contains(expected), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_postgres_certificate_of_other_ca() {
    let database = TestDatabase::new().await;
    let url = format!("{}?sslmode=verify-full", database.url);
    let error = connect_error(url, CertificateAuthority::new().certificate()).await;
    assert!(error.contains("UnknownIssuer"), "{error}");
}

/// Who sits in between can say that there is no TLS, and is then sent the password by
/// clients that "prefer" it.
#[tokio::test(flavor = "multi_thread")]
async fn sends_nothing_to_server_without_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut received = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut ssl_request = [0; 8];
            stream.read_exact(&mut ssl_request).await.unwrap();
            stream.write_all(b"N").await.unwrap();
            stream.read_to_end(&mut received).await.unwrap();
        }
        received
    });
    for mode in ["require", "verify-full"] {
        let url = format!("postgres://orderly:canary@127.0.0.1:{port}/orderly?sslmode={mode}");
        let error = connect_error(url, postgres_ca()).await;
        assert!(error.contains("does not support TLS"), "{error}");
    }
    let received = eventually("the server is done", async || {
        server.is_finished().then_some(())
    });
    received.await;
    assert_eq!(server.await.unwrap(), b"");
}
