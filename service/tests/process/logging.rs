//! The log: every line JSON, one access line a request, and nobody's secrets.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::send;
use crate::support::process::Orderly;
use crate::support::served::{Served, seeded_database};

const PASSWORD: &str = "canary-password-that-nobody-may-log";

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_one_access_line_with_its_route() {
    let database = seeded_database().await;
    let served = Served::start(&Orderly::on(&database)).await;
    let token = served.customer().await;
    let product = served.product().await;
    let path = format!("/v1/products/{}", product["id"].as_str().unwrap());
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = served
        .request(Method::GET, &path)
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"));
    send(traced, "").await.expect(200);
    served.order(&token, &product).await;
    let nothing = served.get("/canary/path?canary=query", "").await;
    let problem = nothing.expect_problem(404, "not-found");
    served
        .get("/v1/orders?canary=query", &token)
        .await
        .expect(422);
    served.get("/v1/orders", "").await.expect(401);
    let malformed = served
        .request(Method::POST, "/v1/sessions")
        .header("content-type", "application/json")
        .body("{canary");
    send(malformed, "").await.expect(400);

    let log = served.stop("TERM").await;
    let access: Vec<&Value> = log
        .iter()
        .filter(|line| line["message"] == "request")
        .collect();
    let summary: Vec<String> = access
        .iter()
        .map(|line| {
            assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
            assert_eq!(line["trace_id"].as_str().unwrap().len(), 32, "{line}");
            assert_eq!(line["level"], "INFO", "{line}");
            let text = |field: &str| line[field].as_str().unwrap().to_owned();
            format!("{} {} {}", text("method"), text("route"), line["status"])
        })
        .collect();
    assert_eq!(
        summary,
        [
            "POST /v1/sessions 201",
            "GET /v1/products 200",
            "GET /v1/products/{id} 200",
            "POST /v1/orders 201",
            "GET unmatched 404",
            "GET /v1/orders 422",
            "GET /v1/orders 401",
            "POST /v1/sessions 400",
        ]
    );
    assert_eq!(access[2]["trace_id"], trace_id);
    assert_eq!(access[4]["trace_id"], problem["trace_id"]);
    for line in &log {
        assert!(!line.to_string().contains("canary"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_has_a_password_or_a_token() {
    let database = seeded_database().await;
    let orderly = Orderly::on(&database).set("ORDERLY__LOG__FILTER", "debug");
    let served = Served::start(&orderly).await;
    let user = json!({"email": "canary@example.com", "password": PASSWORD, "name": "Canary"});
    let register = served.request(Method::POST, "/v1/users").json(&user);
    send(register, "").await.expect(201);
    let wrong = json!({"email": "canary@example.com", "password": format!("{PASSWORD}-not")});
    let log_in = served.request(Method::POST, "/v1/sessions").json(&wrong);
    send(log_in, "").await.expect(401);
    let token = served.log_in("canary@example.com", PASSWORD).await;
    served.get("/v1/users/me", &token).await.expect(200);
    let product = served.product().await;
    served.order(&token, &product).await;
    let mut forged = token.clone();
    forged.push('x');
    served.get("/v1/users/me", &forged).await.expect(401);
    // Where no secret belongs, and where a hurried client puts one.
    served
        .get(&format!("/v1/orders?access_token={token}"), "")
        .await
        .expect(401);
    for misplaced in [json!({"limit": PASSWORD}), json!(PASSWORD)] {
        let log_in = served
            .request(Method::POST, "/v1/sessions")
            .json(&misplaced);
        send(log_in, "").await.expect(422);
    }

    let log = served.stop("TERM").await;
    assert!(log.iter().any(|line| line["level"] == "DEBUG"));
    let database_password = database.url.split(['/', '@', ':']).nth(4).unwrap();
    for line in &log {
        let line = line.to_string();
        for secret in [PASSWORD, &token, database_password] {
            assert!(!line.contains(secret), "{secret}: {line}");
        }
    }
}
