//! Rate limits: who is counted as whom.

use reqwest::Method;
use serde_json::{Value, json};

use super::quotas::{allow_five_logins, send_invalid_login, start};
use crate::support::app::send;
use crate::support::fixtures::PASSWORD;
use crate::support::response::TestResponse;

#[tokio::test(flavor = "multi_thread")]
async fn limits_per_user_or_per_address_when_anonymous() {
    let app = start(|settings| {
        settings.rate_limit.write_per_minute = 1;
        settings.rate_limit.write_burst = 2;
    })
    .await;
    let (ada, bob) = (app.register_customer().await, app.register_customer().await);
    let write = async |token: &str| app.patch("/v1/users/me", token, &json!({})).await.status;
    for token in [&ada, &bob] {
        assert_eq!(
            [write(token).await, write(token).await, write(token).await],
            [200, 200, 429]
        );
    }
    app.get("/v1/users/me", &ada).await.expect(200);
    assert_eq!(
        [write("").await, write("no token").await, write("").await],
        [401, 401, 429]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_counts_for_address_despite_token() {
    let app = start(|settings| settings.rate_limit.login_per_minute = 1).await;
    let tokens = [app.register_customer().await, app.register_customer().await];
    let remaining = async |token: &str| {
        let response = app.post("/v1/sessions", token, &json!({})).await;
        let limit = response.header("ratelimit").unwrap().to_owned();
        let (_, remaining) = limit.split_once(";r=").unwrap();
        remaining.split(';').next().unwrap().parse::<u32>().unwrap()
    };
    let anonymous = remaining("").await;
    assert_eq!(
        [remaining(&tokens[0]).await, remaining(&tokens[1]).await],
        [anonymous - 1, anonymous - 2]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ignores_forwarded_for_of_untrusted_client() {
    let app = start(allow_five_logins).await;
    for number in 0..5 {
        let response =
            send_invalid_login(&app, "/v1/sessions", &format!("198.51.100.{number}")).await;
        assert_eq!(response.status, 422);
    }
    let response = send_invalid_login(&app, "/v1/sessions", "198.51.100.9").await;
    response.expect_problem(429, "rate-limited");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trusts_forwarded_for_of_trusted_proxy_only() {
    let app = start(|settings| {
        allow_five_logins(settings);
        settings.rate_limit.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let statuses = async |last: &str| {
        let mut statuses = Vec::new();
        for number in 0..6 {
            let forwarded_for = format!("192.0.2.{number}, {last}");
            statuses.push(
                send_invalid_login(&app, "/v1/sessions", &forwarded_for)
                    .await
                    .status,
            );
        }
        statuses
    };
    let expected = [422, 422, 422, 422, 422, 429];
    assert_eq!(statuses("198.51.100.1").await, expected);
    assert_eq!(statuses("198.51.100.2").await, expected, "another client");
    assert_eq!(statuses("2001:db8::1").await, expected);
    let neighbour = send_invalid_login(&app, "/v1/sessions", "2001:db8::2").await;
    assert_eq!(neighbour.status, 429, "the same /64");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_logins_per_account_known_or_unknown() {
    let app = start(|settings| {
        settings.rate_limit.login_account_per_minute = 1;
        settings.rate_limit.login_account_burst = 3;
        settings.rate_limit.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let known = json!({"email": "Ada@example.com", "password": PASSWORD, "name": "Ada"});
    app.post("/v1/users", "", &known).await.expect(201);
    let hashes = async || app.metric("orderly_password_hashes_total").await.unwrap();
    let mut rejections = Vec::new();
    for emails in [
        ["ada@example.com", "ADA@EXAMPLE.COM"],
        ["bob@example.com", "BOB@EXAMPLE.COM"],
    ] {
        let before = hashes().await;
        for number in 0..4 {
            let body = json!({"email": emails[number % 2], "password": "a wrong password"});
            let request = app
                .request(Method::POST, "/v1/sessions")
                .header("x-forwarded-for", format!("198.51.100.{number}"))
                .json(&body);
            let response = send(request, "").await;
            if number < 3 {
                response.expect_problem(401, "invalid-credentials");
            } else {
                rejections.push(rejection(&response));
            }
        }
        assert_eq!(
            hashes().await,
            before + 3.0,
            "the refused one is not hashed"
        );
    }
    assert_eq!(
        rejections[0], rejections[1],
        "known and unknown accounts get the same response"
    );
    app.finish().await;
}

/// What a refused log-in tells, without what differs each time.
fn rejection(response: &TestResponse) -> (Value, String) {
    let mut body = response.expect_problem(429, "rate-limited");
    body["trace_id"].take();
    body["detail"].take();
    (
        body,
        response.header("ratelimit-policy").unwrap().to_owned(),
    )
}
