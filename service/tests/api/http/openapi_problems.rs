//! The OpenAPI document lists the problems of the middleware chain and of the extractors.

use std::collections::BTreeSet;

use orderly::http::openapi;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};

/// Statuses of the middleware chain, which every operation may respond with.
const MIDDLEWARE: [u16; 7] = [400, 408, 413, 429, 500, 503, 504];
/// Statuses that [`provoke`] provokes wherever an operation documents them.
const PROVOKED: [u16; 7] = [400, 401, 403, 404, 413, 415, 422];
const BODY_LIMIT: usize = 2_000;

struct Operation {
    method: Method,
    path: String,
    description: Value,
}

impl Operation {
    fn all(document: &Value) -> Vec<Self> {
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, description) in item.as_object().unwrap() {
                operations.push(Self {
                    method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                    path: path.clone(),
                    description: description.clone(),
                });
            }
        }
        assert!(operations.len() > 10, "{}", operations.len());
        operations
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn documented(&self) -> BTreeSet<u16> {
        let responses = self.description["responses"].as_object().unwrap();
        let statuses = responses.keys();
        statuses.filter_map(|status| status.parse().ok()).collect()
    }

    /// The documented response, behind its reference if it has one.
    fn response<'a>(&'a self, document: &'a Value, status: u16) -> &'a Value {
        let response = &self.description["responses"][status.to_string()];
        match response["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).unwrap(),
            None => response,
        }
    }

    /// A request that lacks only a body.
    fn request(
        &self,
        client: &Client,
        address: impl std::fmt::Display,
        id: &str,
    ) -> RequestBuilder {
        let path = self.path.replace("{id}", id);
        client
            .request(self.method.clone(), format!("http://{address}{path}"))
            .header("idempotency-key", Uuid::now_v7().to_string())
            .header("if-match", "*")
    }
}

fn document() -> Value {
    serde_json::from_str(&openapi::document().unwrap()).unwrap()
}

#[test]
fn documents_middleware_problems_of_every_operation() {
    let document = document();
    for operation in Operation::all(&document) {
        for status in MIDDLEWARE {
            let place = format!("{}: {status}", operation.name());
            let response = operation.response(&document, status);
            let schema = &response["content"]["application/problem+json"]["schema"];
            assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{place}");
            let has_retry_after = response["headers"]["retry-after"].is_object();
            assert_eq!(has_retry_after, matches!(status, 429 | 503), "{place}");
        }
    }
}

/// The statuses of requests that are each wrong in one way.
async fn provoke(
    app: &TestApp,
    operation: &Operation,
    admin: &str,
    customer: &str,
) -> BTreeSet<u16> {
    let id = Uuid::now_v7().to_string();
    let request = || operation.request(&app.client, app.app.address, &id);
    let bad_id = operation.request(&app.client, app.app.address, "no-uuid");
    let credentials = json!({"email": "unknown@example.com", "password": "a wrong password"});
    let requests = [
        (request().header("x-request-timeout-ms", "0"), admin),
        (request().body("x".repeat(BODY_LIMIT + 1)), admin),
        (request().body("text"), admin),
        (request().json(&json!({"unknown": 1})), admin),
        (request().json(&credentials), admin),
        (request().query(&[("limit", "no number")]), admin),
        (request(), customer),
        (request(), ""),
        (bad_id, admin),
    ];
    let mut statuses = BTreeSet::new();
    for (request, token) in requests {
        statuses.insert(send(request, token).await.status);
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_provoked_problems_and_no_others() {
    let app = TestApp::start_with(|settings| settings.http.body_limit_bytes = BODY_LIMIT).await;
    let (admin, customer) = (app.create_admin().await, app.register_customer().await);
    for operation in Operation::all(&document()) {
        let documented = operation.documented();
        let provoked = provoke(&app, &operation, &admin, &customer).await;
        let name = operation.name();
        let undocumented: Vec<_> = provoked.difference(&documented).collect();
        assert!(undocumented.is_empty(), "{name}: {undocumented:?}");
        for status in PROVOKED {
            let is_documented = documented.contains(&status);
            assert_eq!(
                is_documented,
                provoked.contains(&status),
                "{name}: {status}"
            );
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_retry_after_when_any_operation_is_limited() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let limited = app
        .start_replica_with(|settings| {
            let limits = &mut settings.rate_limit;
            limits.enabled = true;
            (limits.read_per_minute, limits.read_burst) = (1, 1);
            (limits.write_per_minute, limits.write_burst) = (1, 1);
            (limits.register_per_minute, limits.register_burst) = (1, 1);
            (limits.login_per_minute, limits.login_burst) = (1, 1);
        })
        .await;
    for operation in Operation::all(&document()) {
        let id = Uuid::now_v7().to_string();
        let request = || operation.request(&app.client, limited.address, &id);
        // The first request may use up the quota of its class.
        send(request(), &admin).await;
        let response = send(request(), &admin).await;
        response.expect_problem(429, "rate-limited");
        let seconds: Option<u32> = response
            .header("retry-after")
            .and_then(|it| it.parse().ok());
        assert!(seconds.is_some_and(|it| it > 0), "{}", operation.name());
    }
    limited.stop().await.unwrap();
    app.finish().await;
}
