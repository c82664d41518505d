//! The connection pool: what its connections stand.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use orderly::config::DatabaseConfig;
use orderly::storage::database::Database;
use tokio::runtime::Handle;
use tokio::sync::Barrier;

use crate::support::answer::Answer;
use crate::support::database::TestDatabase;

const CONNECTIONS: usize = 4;

#[derive(diesel::QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// Which process of the server the connection is to.
async fn backend(conn: &mut AsyncPgConnection) -> i32 {
    let query = diesel::sql_query("SELECT pg_backend_pid() AS pid");
    query.get_result::<Backend>(conn).await.unwrap().pid
}

/// Borrows a connection, waits until all others are borrowed too, and says
/// which one it was.
async fn borrow(database: web::Data<Database>, all: web::Data<Barrier>) -> HttpResponse {
    let mut conn = database.connection().await.unwrap();
    all.wait().await;
    HttpResponse::Ok().json(backend(&mut conn).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_outlive_the_worker_that_opened_them() {
    let test_database = TestDatabase::new().await;
    let config = DatabaseConfig {
        pool_size: CONNECTIONS,
        ..DatabaseConfig::default()
    };
    let database = Database::new(&test_database.url, &config, Handle::current()).unwrap();

    let opened = borrow_all_in_a_server(&database).await;
    assert_eq!(opened.len(), CONNECTIONS, "each was opened by a handler");

    // The server is gone and so are the runtimes of its workers: the very same
    // connections must still answer here.
    let mut still_there = BTreeSet::new();
    let mut borrowed = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut conn = database.connection().await.unwrap();
        still_there.insert(backend(&mut conn).await);
        borrowed.push(conn);
    }
    assert_eq!(still_there, opened);
    drop(borrowed);
    database.close();
}

/// Runs a server whose handlers borrow all connections of the pool at once, and
/// stops it.
async fn borrow_all_in_a_server(database: &Database) -> BTreeSet<i32> {
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
    let asking = (0..CONNECTIONS).map(|_| async {
        let answer = Answer::read(client.get(&url).send().await.unwrap()).await;
        i32::try_from(answer.expect(200).as_i64().unwrap()).unwrap()
    });
    let opened = futures_util::future::join_all(asking).await;
    drop(client);
    handle.stop(false).await;
    running.await.unwrap().unwrap();
    opened.into_iter().collect()
}
