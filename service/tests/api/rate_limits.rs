//! Rate limits: who is counted as whom, what they are told, and what holds when
//! Redis is away.
//!
//! Where requests are counted one by one, the quota takes an hour to come back: no
//! machine is so slow that a request more is let through.

use futures_util::future::join_all;
use orderly::app::App;
use orderly::config::Settings;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::app::{TestApp, send, settings};
use crate::support::eventually::eventually;
use crate::support::redis_server::RedisServer;
use crate::support::shop::PASSWORD;

/// A limiter that refuses nobody, until a test says so.
async fn start(change: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(|settings| {
        generous(settings);
        change(settings);
    })
    .await
}

fn generous(settings: &mut Settings) {
    let limits = &mut settings.rate_limit;
    limits.enabled = true;
    limits.login_burst = 1000;
    limits.account_burst = 1000;
    limits.register_burst = 1000;
    settings.shed.floor = 400;
    settings.shed.ceiling = 400;
}

fn five_log_ins(settings: &mut Settings) {
    settings.rate_limit.login_per_minute = 1;
    settings.rate_limit.login_burst = 5;
}

/// A log-in that is counted, and then refused for its body: no hash, so it is quick.
async fn bad_log_in(app: &TestApp, path: &str, forwarded_for: &str) -> Answer {
    let request = app
        .request(Method::POST, path)
        .header("x-forwarded-for", forwarded_for)
        .json(&json!({}));
    send(request, "").await
}

async fn bad_log_in_at(app: &TestApp, replica: &App) -> u16 {
    let url = format!("http://{}/v1/sessions", replica.address);
    let request = app.client.post(url).json(&json!({}));
    send(request, "").await.status
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|found| **found == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_what_is_left_and_a_refusal_when_to_come_back() {
    let app = start(five_log_ins).await;
    for left in (0..5).rev() {
        let answer = bad_log_in(&app, "/v1/sessions", "").await;
        answer.expect_problem(422, "validation-failed");
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"login\";q=5;w=300")
        );
        let limit = format!("\"login\";r={left};t=60");
        assert_eq!(answer.header("ratelimit"), Some(&*limit));
    }
    let answer = bad_log_in(&app, "/v1/sessions", "").await;
    answer.expect_problem(429, "rate-limited");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let limit = format!("\"login\";r=0;t={wait}");
    assert_eq!(answer.header("ratelimit"), Some(&*limit));
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"login\";q=5;w=300")
    );
    let refused = app
        .metric("orderly_rate_limited_total{class=\"login\"}")
        .await;
    assert_eq!(refused, Some(1.0));
    let products = app.get("/v1/products", "").await;
    products.expect(200);
    assert_eq!(
        products.header("ratelimit-policy"),
        Some("\"read\";q=2000;w=2")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_limits_nothing_is_said_of_them() {
    let app = TestApp::start().await;
    let answer = app.get("/v1/products", "").await;
    answer.expect(200);
    assert_eq!(answer.header("ratelimit"), None);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_exact_however_many_come_at_once() {
    let app = start(five_log_ins).await;
    let all = (0..100).map(|_| bad_log_in_at(&app, &app.app));
    let statuses = join_all(all).await;
    assert_eq!((count(&statuses, 422), count(&statuses, 429)), (5, 95));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_do_not_share_a_limit_but_strangers_at_one_address_do() {
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
async fn a_log_in_counts_for_the_address_whatever_token_it_carries() {
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
async fn another_spelling_of_the_path_is_the_same_class() {
    let app = start(five_log_ins).await;
    let answer = bad_log_in(&app, "/v1/%73essions", "").await;
    answer.expect_problem(422, "validation-failed");
    assert_eq!(answer.header("ratelimit"), Some("\"login\";r=4;t=60"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_says_of_its_address_is_ignored() {
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
async fn what_a_trusted_proxy_says_counts_and_what_its_client_says_does_not() {
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
async fn an_account_is_limited_whoever_tries_it_and_whether_it_exists() {
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

/// Two replicas that share a Redis, in which ten log-ins are left.
async fn two_replicas(redis: &RedisServer) -> (TestApp, App) {
    let change = |settings: &mut Settings| {
        generous(settings);
        settings.redis.url = Some(redis.url().into());
        settings.rate_limit.login_per_minute = 1;
        settings.rate_limit.login_burst = 10;
        settings.rate_limit.replicas = 2;
        // A busy machine must not make a test of it.
        settings.rate_limit.shared_timeout = std::time::Duration::from_secs(1);
    };
    let app = TestApp::start_with(change).await;
    let mut settings = settings(&app.database, &app.gateway);
    change(&mut settings);
    let other = App::start(&settings).await.unwrap();
    (app, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_one_limit() {
    let redis = RedisServer::start().await;
    let (app, other) = two_replicas(&redis).await;
    let all = (0..50).flat_map(|_| [bad_log_in_at(&app, &app.app), bad_log_in_at(&app, &other)]);
    let statuses = join_all(all).await;
    assert_eq!((count(&statuses, 422), count(&statuses, 429)), (10, 90));
    other.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_replica_goes_on_alone_and_log_ins_are_divided() {
    let mut redis = RedisServer::start().await;
    let (app, other) = two_replicas(&redis).await;
    for _ in 0..10 {
        assert_eq!(bad_log_in_at(&app, &app.app).await, 422);
    }
    assert_eq!(bad_log_in_at(&app, &other).await, 429);

    redis.kill();
    for replica in [&app.app, &other] {
        let all = (0..20).map(|_| bad_log_in_at(&app, replica));
        let statuses = join_all(all).await;
        assert_eq!(
            (count(&statuses, 422), count(&statuses, 429)),
            (5, 15),
            "its half"
        );
    }
    let products = app.get("/v1/products", "").await;
    products.expect(200);
    assert_eq!(
        products.header("ratelimit-policy"),
        Some("\"read\";q=2000;w=2"),
        "whole"
    );

    redis.start_again().await;
    eventually("the replicas share again", async || {
        let answer = bad_log_in(&app, "/v1/sessions", "").await;
        (answer.header("ratelimit-policy") == Some("\"login\";q=10;w=600")).then_some(())
    })
    .await;
    other.stop().await.unwrap();
    app.finish().await;
}
