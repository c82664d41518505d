//! Rate limits: who is counted as whom.

use reqwest::Method;
use serde_json::{Value, json};

use super::quotas::{bad_log_in, five_log_ins, start};
use crate::support::answer::Answer;
use crate::support::app::send;
use crate::support::shop::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn limits_per_user_or_per_address_when_anonymous() {
    let app = start(|settings| {
        settings.rate_limit.write_per_minute = 1;
        settings.rate_limit.write_burst = 2;
    })
    .await;
    let (ada, bob) = (app.customer().await, app.customer().await);
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
    let tokens = [app.customer().await, app.customer().await];
    let left = async |token: &str| {
        let answer = app.post("/v1/sessions", token, &json!({})).await;
        let limit = answer.header("ratelimit").unwrap().to_owned();
        let (_, left) = limit.split_once(";r=").unwrap();
        left.split(';').next().unwrap().parse::<u32>().unwrap()
    };
    let anonymous = left("").await;
    assert_eq!(
        [left(&tokens[0]).await, left(&tokens[1]).await],
        [anonymous - 1, anonymous - 2]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ignores_forwarded_for_of_untrusted_client() {
    let app = start(five_log_ins).await;
    for number in 0..5 {
        let answer = bad_log_in(&app, "/v1/sessions", &format!("198.51.100.{number}")).await;
        assert_eq!(answer.status, 422);
    }
    let answer = bad_log_in(&app, "/v1/sessions", "198.51.100.9").await;
    answer.expect_problem(429, "rate-limited");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trusts_forwarded_for_of_trusted_proxy_only() {
    let app = start(|settings| {
        five_log_ins(settings);
        settings.rate_limit.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let statuses = async |last: &str| {
        let mut statuses = Vec::new();
        for number in 0..6 {
            let forwarded_for = format!("192.0.2.{number}, {last}");
            statuses.push(
                bad_log_in(&app, "/v1/sessions", &forwarded_for)
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
    let neighbour = bad_log_in(&app, "/v1/sessions", "2001:db8::2").await;
    assert_eq!(neighbour.status, 429, "the same /64");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_logins_per_account_known_or_unknown() {
    let app = start(|settings| {
        settings.rate_limit.account_per_minute = 1;
        settings.rate_limit.account_burst = 3;
        settings.rate_limit.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let known = json!({"email": "Ada@example.com", "password": PASSWORD, "name": "Ada"});
    app.post("/v1/users", "", &known).await.expect(201);
    let hashes = async || app.metric("orderly_password_hashes_total").await.unwrap();
    let mut refusals = Vec::new();
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
            let answer = send(request, "").await;
            if number < 3 {
                answer.expect_problem(401, "invalid-credentials");
            } else {
                refusals.push(refusal(&answer));
            }
        }
        assert_eq!(
            hashes().await,
            before + 3.0,
            "the refused one is not hashed"
        );
    }
    assert_eq!(
        refusals[0], refusals[1],
        "known and unknown are told the same"
    );
    app.finish().await;
}

/// What a refused log-in tells, without what differs each time.
fn refusal(answer: &Answer) -> (Value, String) {
    let mut body = answer.expect_problem(429, "rate-limited");
    body["trace_id"].take();
    body["detail"].take();
    (body, answer.header("ratelimit-policy").unwrap().to_owned())
}
