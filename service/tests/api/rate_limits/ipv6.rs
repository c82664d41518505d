//! Rate limits: an IPv6 client counts against its /64, its /56 and its /48 network.
//!
//! A quota comes back in a minute at the earliest; the bounds leave room for a machine that takes as
//! long for a test.

use orderly::config::Settings;
use reqwest::Method;
use serde_json::json;

use super::quotas::{allow_five_logins, count, raise_other_limits, send_invalid_login, start};
use crate::support::app::{TestApp, send};
use crate::support::redis_server::RedisServer;

const ATTEMPTS: usize = 38;
/// Five for each quota; a /48 has three, and gets three back each minute.
const LARGEST_SHARE: std::ops::RangeInclusive<usize> = 15..=21;

fn trust_proxy(settings: &mut Settings) {
    settings.rate_limit.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

/// Returns the number of log-ins that were let through, each from an address of its own.
async fn count_allowed(app: &TestApp, address: impl Fn(usize) -> String) -> usize {
    let mut statuses = Vec::new();
    for number in 0..ATTEMPTS {
        let response = send_invalid_login(app, "/v1/sessions", &address(number)).await;
        statuses.push(response.status);
    }
    assert_eq!(count(&statuses, 422) + count(&statuses, 429), ATTEMPTS);
    count(&statuses, 422)
}

async fn assert_networks_are_limited(app: &TestApp) {
    // Each from another /56.
    let allowed = count_allowed(app, |number| format!("2001:db8:1:{number:x}00::1")).await;
    assert!(LARGEST_SHARE.contains(&allowed), "/48: {allowed}");
    // Each from another /64.
    let allowed = count_allowed(app, |number| format!("2001:db8:2:aa{number:02x}::1")).await;
    assert!((10..=15).contains(&allowed), "/56: {allowed}");
    // Each from another address.
    let allowed = count_allowed(app, |number| format!("2001:db8:3:aaaa::{number:x}")).await;
    assert!((5..=8).contains(&allowed), "/64: {allowed}");
    // Each from another /48: different sites.
    let allowed = count_allowed(app, |number| format!("2001:db8:{number:x}0:aaaa::1")).await;
    assert_eq!(allowed, ATTEMPTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_limited_by_each_ipv6_network() {
    let app = start(|settings| {
        allow_five_logins(settings);
        trust_proxy(settings);
    })
    .await;
    assert_networks_are_limited(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_limits_logins_by_each_ipv6_network() {
    let redis = RedisServer::start().await;
    let app = TestApp::start_with(|settings| {
        raise_other_limits(settings);
        allow_five_logins(settings);
        trust_proxy(settings);
        settings.redis.url = Some(redis.url().into());
    })
    .await;
    assert_networks_are_limited(&app).await;
    let decisions = r#"orderly_rate_limit_decisions_total{source="redis"}"#;
    assert_eq!(app.metric(decisions).await, Some(4.0 * ATTEMPTS as f64));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_limited_by_ipv6_site() {
    let app = start(|settings| {
        settings.rate_limit.register_per_minute = 1;
        settings.rate_limit.register_burst = 5;
        trust_proxy(settings);
    })
    .await;
    let mut allowed = 0;
    for number in 0..ATTEMPTS {
        let request = app
            .request(Method::POST, "/v1/users")
            .header("x-forwarded-for", format!("2001:db8:1:{number:x}00::1"))
            .json(&json!({}));
        allowed += usize::from(send(request, "").await.status == 422);
    }
    assert!(LARGEST_SHARE.contains(&allowed), "{allowed}");
    app.finish().await;
}

/// The headers are about the quota with the fewest requests left, here that of the /48.
#[tokio::test(flavor = "multi_thread")]
async fn headers_describe_tightest_network() {
    let app = start(|settings| {
        allow_five_logins(settings);
        trust_proxy(settings);
    })
    .await;
    let log_in = async |address: &str| send_invalid_login(&app, "/v1/sessions", address).await;
    let first = log_in("2001:db8:1:100::1").await;
    let narrowest = Some("\"login\";q=5;w=300");
    assert_eq!(first.header("ratelimit-policy"), narrowest);
    assert_eq!(first.header("ratelimit"), Some("\"login\";r=4;t=60"));
    for number in 2..=14 {
        log_in(&format!("2001:db8:1:{number:x}00::1")).await;
    }
    let last = log_in("2001:db8:1:ff00::1").await;
    let widest = Some("\"login\";q=15;w=300");
    assert_eq!(last.header("ratelimit-policy"), widest, "{last:?}");
    app.finish().await;
}

/// A flood from one network costs the others of its site nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_login_is_charged_to_no_network() {
    let app = start(|settings| {
        allow_five_logins(settings);
        trust_proxy(settings);
    })
    .await;
    let flood = count_allowed(&app, |_| "2001:db8:1:aaaa::1".to_owned()).await;
    assert!((5..=8).contains(&flood), "{flood}");
    let neighbour = send_invalid_login(&app, "/v1/sessions", "2001:db8:1:bbbb::1").await;
    assert_eq!(neighbour.status, 422);
    // Five of its own are left but one; the flood took no more of the /48 than its share.
    assert_eq!(neighbour.header("ratelimit"), Some("\"login\";r=4;t=60"));
    app.finish().await;
}
