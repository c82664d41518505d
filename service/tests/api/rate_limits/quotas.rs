//! Rate limits: what a client is told of its quota, and that no crowd gets more than it.
//!
//! Where requests are counted one by one, the quota takes an hour to come back: no
//! machine is so slow that a request more is let through.

use futures_util::future::join_all;
use orderly::app::App;
use orderly::config::Settings;
use reqwest::Method;
use serde_json::json;

use crate::support::app::{TestApp, send};
use crate::support::response::TestResponse;

/// A limiter that refuses nobody, until a test says so.
pub async fn start(change: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(|settings| {
        raise_other_limits(settings);
        change(settings);
    })
    .await
}

pub fn raise_other_limits(settings: &mut Settings) {
    let limits = &mut settings.rate_limit;
    limits.enabled = true;
    limits.login_burst = 1000;
    limits.login_account_burst = 1000;
    limits.register_burst = 1000;
    settings.load_shedding.min_limit = 400;
    settings.load_shedding.max_limit = 400;
}

pub fn allow_five_logins(settings: &mut Settings) {
    settings.rate_limit.login_per_minute = 1;
    settings.rate_limit.login_burst = 5;
}

/// A log-in that is counted, and then refused for its body: no hash, so it is quick.
pub async fn send_invalid_login(app: &TestApp, path: &str, forwarded_for: &str) -> TestResponse {
    let request = app
        .request(Method::POST, path)
        .header("x-forwarded-for", forwarded_for)
        .json(&json!({}));
    send(request, "").await
}

pub async fn send_invalid_login_to(app: &TestApp, replica: &App) -> u16 {
    let url = format!("http://{}/v1/sessions", replica.address);
    let request = app.client.post(url).json(&json!({}));
    send(request, "").await.status
}

pub fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|found| **found == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_remaining_quota_and_retry_after() {
    let app = start(allow_five_logins).await;
    for left in (0..5).rev() {
        let response = send_invalid_login(&app, "/v1/sessions", "").await;
        response.expect_problem(422, "validation-failed");
        assert_eq!(
            response.header("ratelimit-policy"),
            Some("\"login\";q=5;w=300")
        );
        let limit = format!("\"login\";r={left};t=60");
        assert_eq!(response.header("ratelimit"), Some(&*limit));
    }
    let response = send_invalid_login(&app, "/v1/sessions", "").await;
    response.expect_problem(429, "rate-limited");
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let limit = format!("\"login\";r=0;t={wait}");
    assert_eq!(response.header("ratelimit"), Some(&*limit));
    assert_eq!(
        response.header("ratelimit-policy"),
        Some("\"login\";q=5;w=300")
    );
    let rejected = app
        .metric("orderly_requests_rate_limited_total{class=\"login\"}")
        .await;
    assert_eq!(rejected, Some(1.0));
    let products = app.get("/v1/products", "").await;
    products.expect(200);
    assert_eq!(
        products.header("ratelimit-policy"),
        Some("\"read\";q=2000;w=2")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_no_rate_limit_headers_when_disabled() {
    let app = TestApp::start().await;
    let response = app.get("/v1/products", "").await;
    response.expect(200);
    assert_eq!(response.header("ratelimit"), None);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_burst_is_limited_exactly() {
    let app = start(allow_five_logins).await;
    let all = (0..100).map(|_| send_invalid_login_to(&app, &app.app));
    let statuses = join_all(all).await;
    assert_eq!((count(&statuses, 422), count(&statuses, 429)), (5, 95));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn percent_encoded_path_has_same_limit_class() {
    let app = start(allow_five_logins).await;
    let response = send_invalid_login(&app, "/v1/%73essions", "").await;
    response.expect_problem(422, "validation-failed");
    assert_eq!(response.header("ratelimit"), Some("\"login\";r=4;t=60"));
    app.finish().await;
}
