//! Series exist before the first event that they count: Prometheus sees no increase in a series
//! whose first sample is the first failure.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::send;
use crate::support::database::TestDatabase;
use crate::support::gateway::start_gateway;
use crate::support::metric_series::{Selector, Series, parse_scrape};
use crate::support::process::OrderlyCommand;
use crate::support::service_process::{ServiceProcess, seeded_database};

/// Metrics with a label whose values are too many to exist from the start.
const OPEN_METRICS: [&str; 1] = ["orderly_order_value_minor_total"];

/// A service that has served no request, and its database.
async fn start_service(gateway_url: &str) -> (ServiceProcess, TestDatabase) {
    let database = seeded_database().await;
    let redis = std::env::var("ORDERLY_TEST_REDIS_URL").unwrap();
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__REDIS__URL", &redis)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", gateway_url);
    (ServiceProcess::start(&orderly).await, database)
}

async fn scrape(service: &ServiceProcess) -> BTreeSet<Series> {
    let url = format!("http://127.0.0.1:{}/metrics", service.admin_port);
    parse_scrape(&send(service.client.get(url), "").await.text)
}

/// The selectors of all files in a folder.
fn selectors(folder: &str) -> BTreeSet<Selector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let texts = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    texts
        // Dashboards are JSON, whose strings have escaped quotation marks.
        .flat_map(|text| Selector::find_all(&text.replace("\\\"", "\""), "orderly_"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_series_exists_at_start() {
    let (service, _database) = start_service("http://127.0.0.1:1").await;
    let series = scrape(&service).await;
    for folder in [
        "observability/prometheus/rules",
        "observability/grafana/dashboards",
    ] {
        let selectors = selectors(folder);
        assert!(selectors.len() > 10, "{folder}: {selectors:#?}");
        for selector in selectors {
            let is_open = OPEN_METRICS.contains(&selector.name.as_str());
            let exists = series.iter().any(|series| selector.matches(series));
            assert!(is_open || exists, "{folder}: no series for {selector:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_status_exists_at_start() {
    let (service, _database) = start_service("http://127.0.0.1:1").await;
    let series = scrape(&service).await;
    let exists = |name: &str, endpoint: &str, method: &str, status: &str| {
        series.iter().any(|series| {
            let has = |label, value| series.labels.get(label).is_some_and(|it| it == value);
            series.name == name
                && has("endpoint", endpoint)
                && has("method", method)
                && has("status", status)
        })
    };
    let (requests, durations) = (
        "orderly_http_requests_total",
        "orderly_http_request_duration_seconds_count",
    );
    let document = service.get("/openapi.json", "").await.expect(200);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase();
            let statuses = operation["responses"].as_object().unwrap().keys();
            for status in statuses.filter(|status| *status != "default") {
                let what = format!("{method} {path} {status}");
                assert!(exists(requests, path, &method, status), "{what}");
                if !status.starts_with('5') {
                    assert!(exists(durations, path, &method, status), "{what}");
                }
            }
            for status in ["500", "503", "504"] {
                let unusual = format!("DELETE {path} {status}");
                assert!(exists(requests, path, "DELETE", status), "{unusual}");
                assert!(exists(requests, "unmatched", &method, status), "{status}");
            }
        }
    }
    // A client's database and the monitoring pay for each.
    assert!(series.len() < 5_000, "{} series", series.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_series_begins_with_its_first_event() {
    let gateway = start_gateway().await;
    let (service, _database) = start_service(&gateway.url()).await;
    let before = scrape(&service).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let order = service.place_order(&token, &product).await;
    service.wait_for_order_status(&token, &order, "paid").await;
    let log_in = |body: Value| {
        send(
            service.request(Method::POST, "/v1/sessions").json(&body),
            "",
        )
    };
    let unknown = json!({"email": "nobody@example.com", "password": "orderly-demo-customer"});
    log_in(unknown).await.expect(401);
    log_in(json!({})).await.expect(422);
    service.get("/v1/orders", "").await.expect(401);
    service.get("/v1/products?limit=0", "").await.expect(422);
    let unknown_method = Method::from_bytes(b"CANARY").unwrap();
    send(service.request(unknown_method, "/canary"), "")
        .await
        .expect(404);
    send(service.request(Method::HEAD, "/v1/products"), "").await;
    assert_eq!(service.get("/docs", "").await.status, 200);
    service
        .get("/docs/none", "")
        .await
        .expect_problem(404, "not-found");
    let after = scrape(&service).await;
    let new: Vec<&Series> = (after.difference(&before))
        .filter(|series| !OPEN_METRICS.contains(&series.name.as_str()))
        .collect();
    assert!(
        new.is_empty(),
        "series without a first sample at 0: {new:#?}"
    );
}
