//! The list of metrics: that it is what the service shows, and that the page is current.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Method;
use serde_json::Value;

use crate::support::app::send;
use crate::support::gateway::start_gateway;
use crate::support::process::OrderlyCommand;
use crate::support::service_process::{ServiceProcess, seeded_database};

#[tokio::test]
async fn metrics_page_is_current() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let written = std::fs::read_to_string(page).unwrap();
    let current = OrderlyCommand::new().succeed(&["metrics"]).await;
    assert!(
        written.trim_end() == current,
        "docs/metrics.md is out of date; renew it: cargo run -p orderly -- metrics > docs/metrics.md"
    );
}

/// The types of the metrics that are shown, and of each the names of its labels.
fn exposed_metrics(text: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let mut shown = BTreeMap::<String, (String, Vec<String>)>::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            shown.insert(name.to_owned(), (kind.to_owned(), Vec::new()));
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap();
        let suffixes = ["", "_bucket", "_sum", "_count"];
        let family = suffixes
            .iter()
            .find_map(|part| name.strip_suffix(part).filter(|n| shown.contains_key(*n)));
        let (Some(family), Some((_, rest))) = (family, line.split_once('{')) else {
            continue;
        };
        let labels = rest.rsplit_once('}').unwrap().0.split("\",");
        let labels = labels.map(|label| label.split('=').next().unwrap().to_owned());
        let mut labels: Vec<String> = labels.filter(|label| label != "le").collect();
        labels.sort();
        shown.get_mut(family).unwrap().1 = labels;
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn exposed_metrics_are_listed_with_bounded_labels() {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let url = gateway.url();
    let orderly =
        OrderlyCommand::with_database(&database).set("ORDERLY__PAYMENTS__GATEWAY_URL", &url);
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let order = service.place_order(&token, &product).await;
    service.wait_for_order_status(&token, &order, "paid").await;
    let unknown_method = Method::from_bytes(b"CANARY").unwrap();
    let response = send(service.request(unknown_method, "/v1/canary"), "").await;
    response.expect_problem(404, "not-found");

    let admin = format!("http://127.0.0.1:{}/metrics", service.admin_port);
    let text = send(service.client.get(admin), "").await.text;
    assert!(!text.contains("CANARY") && !text.contains("canary"));
    assert!(text.contains(r#"{endpoint="unmatched",method="_OTHER",status="404"}"#));
    let listed = OrderlyCommand::new().succeed(&["metrics", "--json"]).await;
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let shown = exposed_metrics(&text);
    assert!(shown.len() > 30, "{shown:?}");
    for (name, (kind, labels)) in &shown {
        let entry = listed.iter().find(|entry| entry["name"] == name.as_str());
        let entry = entry.unwrap_or_else(|| panic!("{name} is not listed"));
        assert_eq!(entry["type"], kind.as_str(), "{name}");
        let mut names: Vec<String> = serde_json::from_value(entry["labels"].clone()).unwrap();
        names.sort();
        assert_eq!(names, *labels, "{name}");
    }
    // What needs no trouble to have a value has one.
    for name in [
        "orderly_http_requests_total",
        "orderly_order_status_changes_total",
        "orderly_logins_total",
        "orderly_order_value_minor_total",
        "orderly_outbox_events",
        "orderly_outbox_oldest_age_seconds",
        "orderly_jobs",
        "orderly_job_oldest_age_seconds",
        "orderly_job_attempts_total",
        "orderly_job_duration_seconds",
        "orderly_gateway_request_duration_seconds",
        "orderly_build_info",
        "orderly_runtime_workers",
        "orderly_pool_connections",
        "process_resident_memory_bytes",
    ] {
        assert!(shown.contains_key(name), "{name} is not shown");
    }
}
