//! When it is our fault: the client is told that, and nothing of the cause.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::shop::{PASSWORD, id};

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_ours_does_not_show_its_cause() {
    let app = TestApp::start().await;
    let customer = app.customer().await;
    let mut conn = app.database.connect().await;
    conn.batch_execute("ALTER TABLE users RENAME COLUMN name TO broken_name")
        .await
        .unwrap();
    let registration = json!({"email": "a@example.com", "password": PASSWORD, "name": "Ada"});
    let log_in = json!({"email": "a@example.com", "password": PASSWORD});
    for answer in [
        app.get("/v1/users/me", &customer).await,
        app.patch("/v1/users/me", &customer, &json!({"name": "B"}))
            .await,
        app.post("/v1/users", "", &registration).await,
        app.post("/v1/sessions", "", &log_in).await,
    ] {
        let mut problem = answer.expect_problem(500, "internal");
        problem["instance"] = json!("");
        insta::assert_json_snapshot!("internal_problem", problem, {".trace_id" => "[trace]"});
        // Nor do the headers.
        for (name, value) in &answer.headers {
            assert!(!value.to_str().unwrap().contains("column"), "{name}");
        }
    }
    // Nothing is left broken behind.
    conn.batch_execute("ALTER TABLE users RENAME COLUMN broken_name TO name")
        .await
        .unwrap();
    app.get("/v1/users/me", &customer).await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_there_are_503s_until_it_is_back() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 5).await;
    let path = format!("/v1/products/{}", id(&product));

    app.database.take_away().await;
    // More requests than the pool has connections, some of which broke unnoticed.
    for _ in 0..20 {
        let answer = app.get(&path, "").await;
        let problem = answer.expect_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(
            problem["detail"],
            "a part that this needs is away; try again soon"
        );
    }
    let probe = app.get_admin("/readyz").await;
    assert_eq!(probe.expect(503)["status"], "not ready");
    app.get_admin("/livez").await.expect(200);
    // What needs no database still answers.
    app.get("/openapi.json", "").await.expect(200);

    app.database.give_back().await;
    eventually("the database is used again", async || {
        (app.get(&path, "").await.status == 200).then_some(())
    })
    .await;
    app.get_admin("/readyz").await.expect(200);
    app.finish().await;
}
