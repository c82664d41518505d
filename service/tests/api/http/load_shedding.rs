//! Load shedding, as clients see it. That the limit adapts is tested beside it;
//! what it is good for, the drill `overload` shows.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use orderly::config::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::TestApp;

fn limit_to_one_request(settings: &mut Settings) {
    settings.load_shedding.min_limit = 1;
    settings.load_shedding.max_limit = 1;
}

#[tokio::test(flavor = "multi_thread")]
async fn sheds_over_limit_with_retry_after_but_never_probes() {
    let app = TestApp::start_with(limit_to_one_request).await;
    let mut blocker = app.lock_products().await;

    let waiting = app.get("/v1/products", "");
    let others = async {
        app.wait_for_metric("orderly_requests_in_flight", 1.0).await;
        let shed = app.get("/v1/products", "").await;
        shed.expect_problem(503, "overloaded");
        assert_eq!(shed.header("retry-after"), Some("1"));
        app.get_admin("/livez").await.expect(200);
        app.get_admin("/readyz").await.expect(200);
        assert_eq!(app.metric("orderly_requests_shed_total ").await, Some(1.0));
        blocker.batch_execute("ROLLBACK").await.unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, others);

    waited.expect(200);
    app.get("/v1/products", "").await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_and_failed_requests_do_not_raise_limit() {
    let app = TestApp::start_with(|settings| {
        // It begins halfway, and one answer that counts would bring it to 2.
        settings.load_shedding.min_limit = 1;
        settings.load_shedding.max_limit = 2;
        settings.load_shedding.target_latency = Duration::from_secs(60);
        settings.rate_limit.enabled = true;
        settings.rate_limit.read_per_minute = 1;
        settings.rate_limit.read_burst = 1;
    })
    .await;
    let limit = async || app.metric("orderly_requests_in_flight_limit ").await;
    app.database.block_connections().await;
    app.get("/v1/products", "").await.expect(503);
    assert_eq!(limit().await, Some(1.0), "after a failure");
    app.get("/v1/products", "").await.expect(429);
    assert_eq!(limit().await, Some(1.0), "after a rejection");
    app.database.allow_connections().await;
    let order = serde_json::json!({});
    app.post("/v1/orders", "", &order).await.expect(401);
    assert_eq!(limit().await, Some(2.0), "after a served request");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_body_returns_408_and_holds_no_permit() {
    let app = TestApp::start_with(|settings| {
        limit_to_one_request(settings);
        settings.http.request_body_timeout = Duration::from_secs(1);
    })
    .await;
    let mut slow = TcpStream::connect(app.app.address).await.unwrap();
    let head = "POST /v1/users HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();

    let mut response = String::new();
    let (closed, ()) = tokio::join!(slow.read_to_string(&mut response), async {
        for _ in 0..20 {
            app.get("/v1/products", "").await.expect(200);
        }
    });
    closed.unwrap();
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(response.contains("/request-timeout"), "{response}");
    app.finish().await;
}
