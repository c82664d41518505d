//! The first failures of a service are as visible as later ones: their series exist at 0 before.

use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::app::TestApp;
use crate::support::fixtures::PASSWORD;

/// Makes reads of products and inserts of users fail with an internal error of the server.
const BREAK: &str = "
    CREATE FUNCTION fail() RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'XX000'; END $$;
    CREATE FUNCTION fail_insert() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM fail(); RETURN NULL; END $$;
    ALTER TABLE products RENAME TO broken;
    CREATE VIEW products AS SELECT * FROM broken WHERE (SELECT fail());
    CREATE TRIGGER fail BEFORE INSERT ON users EXECUTE FUNCTION fail_insert()";

/// Ends the failures.
const REPAIR: &str =
    "DROP VIEW products; ALTER TABLE broken RENAME TO products; DROP TRIGGER fail ON users";

fn requests(endpoint: &str, method: &str, status: u16) -> String {
    let labels = format!("endpoint=\"{endpoint}\",method=\"{method}\",status=\"{status}\"");
    format!("orderly_http_requests_total{{{labels}}} ")
}

#[tokio::test(flavor = "multi_thread")]
async fn first_failures_are_counted_from_zero() {
    let app = TestApp::start().await;
    let (product, user) = ("/v1/products/{id}", "/v1/users");
    let internal_errors = [
        (requests(product, "GET", 500), 3.0),
        (requests(product, "HEAD", 500), 1.0),
        (requests(user, "POST", 500), 2.0),
    ];
    let unavailable = [
        (requests("/v1/products", "GET", 503), 2.0),
        (requests(user, "POST", 503), 1.0),
    ];
    for (series, _) in internal_errors.iter().chain(&unavailable) {
        assert_eq!(app.metric(series).await, Some(0.0), "{series}");
    }

    let mut conn = app.database.connect().await;
    conn.batch_execute(BREAK).await.unwrap();
    let path = format!("/v1/products/{}", Uuid::now_v7());
    let registration = json!({"email": "a@example.com", "password": PASSWORD, "name": "Ada"});
    for _ in 0..3 {
        app.get(&path, "").await.expect(500);
    }
    let head = app.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(head.status(), 500);
    for _ in 0..2 {
        app.post("/v1/users", "", &registration).await.expect(500);
    }
    for (series, count) in &internal_errors {
        assert_eq!(app.metric(series).await, Some(*count), "{series}");
    }

    conn.batch_execute(REPAIR).await.unwrap();
    app.database.block_connections().await;
    for _ in 0..2 {
        app.get("/v1/products", "").await.expect(503);
    }
    app.post("/v1/users", "", &registration).await.expect(503);
    for (series, count) in &unavailable {
        assert_eq!(app.metric(series).await, Some(*count), "{series}");
    }
    app.database.allow_connections().await;
    app.finish().await;
}
