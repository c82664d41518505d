//! The connection pool: what its connections stand.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt as _;
use orderly::config::DatabaseConfig;
use orderly::resilience::deadline;
use orderly::storage::database::{Database, Databases};
use orderly::telemetry::metrics::Metrics;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Barrier;
use tokio::time::Instant;

use crate::support::app::lenient_timeouts;
use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::response::TestResponse;
use crate::support::sql::{query_number, query_texts};

const CONNECTIONS: usize = 4;

/// Returns the server process behind a connection.
async fn backend(conn: &mut AsyncPgConnection) -> i64 {
    query_number(conn, "SELECT pg_backend_pid()::bigint AS value").await
}

/// Borrows a connection, waits until all others are borrowed too, and says
/// which one it was.
async fn borrow(database: web::Data<Database>, all: web::Data<Barrier>) -> HttpResponse {
    let mut conn = database.connection().await.unwrap();
    all.wait().await;
    HttpResponse::Ok().json(backend(&mut conn).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_outlive_worker_that_opened_them() {
    let test_database = TestDatabase::new().await;
    let config = DatabaseConfig {
        pool_size: CONNECTIONS,
        ..lenient_timeouts().database
    };
    let databases = pools(&test_database, &config).await;
    let database = databases.requests.clone();

    let opened = borrow_all_in_a_server(&database).await;
    assert_eq!(opened.len(), CONNECTIONS, "each was opened by a handler");

    // The server is gone and so are the runtimes of its workers: the very same
    // connections must still answer here.
    let mut found = BTreeSet::new();
    let mut borrowed = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut conn = database.connection().await.unwrap();
        found.insert(backend(&mut conn).await);
        borrowed.push(conn);
    }
    assert_eq!(found, opened);
    drop(borrowed);
    databases.close().await;
}

/// Pools on a database of their own.
pub async fn pools(database: &TestDatabase, config: &DatabaseConfig) -> Databases {
    let metrics = Metrics::new().unwrap();
    Databases::new(&database.url, config, Handle::current(), &metrics).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_sets_its_timeouts() {
    let test_database = TestDatabase::new().await;
    let config = DatabaseConfig {
        statement_timeout: Duration::from_secs(7),
        lock_timeout: Duration::from_secs(6),
        idle_in_transaction_timeout: Duration::from_secs(5),
        ..lenient_timeouts().database
    };
    let databases = pools(&test_database, &config).await;
    let mut conn = databases.requests.connection().await.unwrap();
    for (name, expected) in [
        ("statement_timeout", "7s"),
        ("lock_timeout", "6s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("application_name", "orderly"),
        ("TimeZone", "UTC"),
    ] {
        let query = format!("SELECT current_setting('{name}') AS value");
        let found = query_texts(&mut conn, &query).await;
        assert_eq!(found, [expected], "{name}");
    }
    drop(conn);
    databases.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaces_connection_after_max_lifetime() {
    let test_database = TestDatabase::new().await;
    let config = DatabaseConfig {
        max_lifetime: Duration::from_millis(200),
        ..lenient_timeouts().database
    };
    let databases = pools(&test_database, &config).await;
    let first = backend(&mut databases.requests.connection().await.unwrap()).await;
    eventually("another connection is used", async || {
        let mut conn = databases.requests.connection().await.unwrap();
        (backend(&mut conn).await != first).then_some(())
    })
    .await;
    databases.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_idle_connection() {
    let test_database = TestDatabase::new().await;
    let config = DatabaseConfig {
        idle_timeout: Duration::from_millis(1),
        ..lenient_timeouts().database
    };
    let databases = pools(&test_database, &config).await;
    let sessions = "pg_stat_activity
        WHERE datname = current_database() AND application_name = 'orderly'";
    backend(&mut databases.requests.connection().await.unwrap()).await;
    assert_eq!(test_database.count_rows(sessions).await, 1);
    eventually("no session is left", async || {
        databases.requests.close_idle();
        (test_database.count_rows(sessions).await == 0).then_some(())
    })
    .await;
    databases.close().await;
}

/// As a Postgres that stands still looks from here: it accepts, and is silent.
#[tokio::test(flavor = "multi_thread")]
async fn aborts_connect_attempt_after_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://a:b@{}/c", silent.local_addr().unwrap());
    let config = DatabaseConfig {
        connect_timeout: Duration::from_millis(50),
        ..lenient_timeouts().database
    };
    let metrics = Metrics::new().unwrap();
    let databases = Databases::new(&url, &config, Handle::current(), &metrics).unwrap();
    let error = databases.requests.connection().await.err().unwrap();
    assert!(error.to_string().contains("timed out"), "{error}");
    let (mut accepted, _) = silent.accept().await.unwrap();
    let mut startup = Vec::new();
    // To its end, which is when the client closes it.
    accepted.read_to_end(&mut startup).await.unwrap();
    databases.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn db_runtime_keeps_deadline_panic_and_cancellation() {
    let test_database = TestDatabase::new().await;
    let databases = pools(&test_database, &DatabaseConfig::default()).await;
    let database = databases.requests.clone();
    let other_thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(check_db_runtime_from_other_runtime(&database));
    });
    tokio::task::spawn_blocking(|| other_thread.join().unwrap())
        .await
        .unwrap();
    databases.close().await;
}

async fn check_db_runtime_from_other_runtime(database: &Database) {
    let own_runtime = Handle::current().id();
    let db_runtime = database
        .run_on_db_runtime(async { Handle::current().id() })
        .await;
    assert_ne!(db_runtime.unwrap(), own_runtime);

    let deadline = Instant::now() + Duration::from_secs(60);
    let left = deadline::with_deadline(deadline, async {
        let left = database.run_on_db_runtime(async { deadline::remaining() });
        left.await.unwrap()
    });
    let left = left.await.unwrap().unwrap();
    assert!(left > Duration::ZERO && left <= Duration::from_secs(60));
    let none = database.run_on_db_runtime(async { deadline::remaining() });
    assert_eq!(none.await.unwrap(), None);

    let panicking = database.run_on_db_runtime(async { panic!("on purpose") });
    let panic = AssertUnwindSafe(panicking).catch_unwind().await;
    assert_eq!(
        panic.unwrap_err().downcast_ref::<&str>(),
        Some(&"on purpose")
    );

    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    let mut endless = Box::pin(database.run_on_db_runtime(async move {
        let _held = held;
        std::future::pending::<()>().await;
    }));
    assert!(futures_util::poll!(&mut endless).is_pending());
    drop(endless);
    // The sender goes with the work.
    let ended = tokio::time::timeout(Duration::from_secs(20), dropped).await;
    assert!(ended.unwrap().is_err());
}

/// Runs a server whose handlers borrow all connections of the pool at once, and
/// stops it.
async fn borrow_all_in_a_server(database: &Database) -> BTreeSet<i64> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let database = web::Data::new(database.clone());
    let all = web::Data::from(Arc::new(Barrier::new(CONNECTIONS)));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(database.clone())
            .app_data(all.clone())
            .route("/", web::get().to(borrow))
    })
    .workers(2)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    let handle = server.handle();
    let running = tokio::spawn(server);

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let requests = (0..CONNECTIONS).map(|_| async {
        let response = TestResponse::read(client.get(&url).send().await.unwrap()).await;
        response.expect(200).as_i64().unwrap()
    });
    let opened = futures_util::future::join_all(requests).await;
    drop(client);
    handle.stop(false).await;
    running.await.unwrap().unwrap();
    opened.into_iter().collect()
}
