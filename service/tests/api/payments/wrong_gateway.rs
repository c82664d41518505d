//! Another server at the address of the gateway: no order is settled on its responses.

use std::time::Duration;

use orderly::storage::dead_jobs;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::fixtures::id;
use crate::support::sql::query_texts;

/// A server that sends the same response to every request, and its URL.
async fn start_other_server(status: &str, media_type: &str, body: &str) -> String {
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    url
}

/// Places an order, and waits until its payment was attempted. Returns the order and the reason of
/// the attempt.
async fn attempt_payment(url: String) -> (Value, String) {
    let app = TestApp::start_with(move |settings| {
        settings.payments.gateway_url = url;
        settings.payment_jobs.min_retry_duration = Duration::from_hours(1);
        settings.payment_jobs.backoff_base = Duration::from_millis(10);
        settings.payment_jobs.backoff_cap = Duration::from_millis(10);
    })
    .await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 100, 1).await;
    let customer = app.register_customer().await;
    let order = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);
    let mut conn = app.database.connect().await;
    let reason = eventually("the payment is rescheduled", async || {
        let reason = "SELECT last_error AS value FROM jobs \
                      WHERE kind = 'payment' AND last_error IS NOT NULL";
        query_texts(&mut conn, reason).await.pop()
    })
    .await;
    let dead = dead_jobs::list(&mut conn, None, 10).await.unwrap();
    assert!(dead.is_empty(), "{dead:?}");
    let path = format!("/v1/orders/{}", id(&order));
    let order = app.get(&path, &customer).await.expect(200);
    app.app.stop().await.unwrap();
    (order, reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn order_stays_pending_while_other_server_responds() {
    let responses = [
        ("404 Not Found", "text/html", "<html>"),
        (
            "401 Unauthorized",
            "application/json",
            r#"{"error":"log in"}"#,
        ),
        // It names no order.
        (
            "200 OK",
            "application/json",
            r#"{"status":"succeeded","id":"ch_1"}"#,
        ),
    ];
    for (status, media_type, body) in responses {
        let url = start_other_server(status, media_type, body).await;
        let (order, reason) = attempt_payment(url).await;
        assert_eq!(order["status"], json!("pending"), "{status}");
        let code = status.split(' ').next().unwrap();
        assert!(reason.contains(&format!("status {code}")), "{reason}");
    }
}
