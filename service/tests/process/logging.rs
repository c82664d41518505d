//! The log: every line JSON, and one access line a request.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use reqwest::{Client, Method};
use serde_json::Value;
use xtask::process::Signal;

use crate::support::app::send;
use crate::support::eventually::eventually;
use crate::support::gateway::start_gateway;
use crate::support::process::OrderlyCommand;
use crate::support::response::TestResponse;
use crate::support::service_process::{ServiceProcess, seeded_database};

#[tokio::test(flavor = "multi_thread")]
async fn logs_one_access_line_per_request_with_route() {
    let database = seeded_database().await;
    let service = ServiceProcess::start(&OrderlyCommand::with_database(&database)).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let path = format!("/v1/products/{}", product["id"].as_str().unwrap());
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = service
        .request(Method::GET, &path)
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"));
    send(traced, "").await.expect(200);
    service.place_order(&token, &product).await;
    let nothing = service.get("/canary/path?canary=query", "").await;
    let problem = nothing.expect_problem(404, "not-found");
    service
        .get("/v1/orders?canary=query", &token)
        .await
        .expect(422);
    service.get("/v1/orders", "").await.expect(401);
    let malformed = service
        .request(Method::POST, "/v1/sessions")
        .header("content-type", "application/json")
        .body("{canary");
    send(malformed, "").await.expect(400);

    let log = service.stop(Signal::TERM).await;
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
async fn request_and_job_log_lines_have_trace_ids() {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let url = gateway.url();
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &url)
        .set("ORDERLY__LOG__FILTER", "warn,orderly=info");
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let order = service.place_order(&token, &product).await;
    service.wait_for_order_status(&token, &order, "paid").await;
    let log = service.stop(Signal::TERM).await;
    for message in ["request", "job completed"] {
        let mut lines = log.iter().filter(|line| line["message"] == message);
        let line = lines.next().unwrap();
        for (id, digits) in [("trace_id", 32), ("span_id", 16)] {
            assert_eq!(line[id].as_str().map(str::len), Some(digits), "{line}");
        }
    }
    let ready_line = log.iter().find(|line| line["message"] == "ready").unwrap();
    assert_eq!(ready_line["trace_id"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn pretty_log_line_ends_with_trace_ids() {
    let database = seeded_database().await;
    let orderly = OrderlyCommand::with_database(&database).set("ORDERLY__LOG__FORMAT", "pretty");
    let process = orderly.start(&["serve"]);
    let line = async |with: &str| {
        let find = async || process.lines().into_iter().find(|line| line.contains(with));
        eventually(with, find).await
    };
    let ready = line("INFO ready address=").await;
    let address = ready.split("address=").nth(1).unwrap();
    let url = format!("http://{}/nowhere", address.split(' ').next().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let problem: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    let access = line("INFO request method=").await;
    let (message, ids) = access.split_once(" trace_id=").unwrap();
    assert!(message.contains("route=unmatched status=404"), "{access}");
    let (trace_id, span_id) = ids.split_once(" span_id=").unwrap();
    assert_eq!(
        (trace_id, span_id.len()),
        (problem["trace_id"].as_str().unwrap(), 16)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_slow_request_with_trace_while_it_runs() {
    let database = seeded_database().await;
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__HTTP__SLOW_REQUEST_THRESHOLD", "100ms")
        .set("ORDERLY__DATABASE__SLOW_STATEMENT_THRESHOLD", "1ms");
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let row = format!(
        "SELECT 1 FROM products WHERE id = '{}'",
        product["id"].as_str().unwrap()
    );
    let row_lock = database.lock_rows(&row).await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let order = service
        .order_request(&token, &product)
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"));
    let order = tokio::spawn(send(order, ""));
    wait_for_trace_log(&service, "a slow request still runs", trace_id).await;

    row_lock.release().await;
    order.await.unwrap().expect(201);
    wait_for_trace_log(&service, "a slow statement", trace_id).await;
    service.stop(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_abandoned_statement_as_slow() {
    let database = seeded_database().await;
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__DATABASE__SLOW_STATEMENT_THRESHOLD", "1s");
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let id = product["id"].as_str().unwrap();
    let row = format!("SELECT 1 FROM products WHERE id = '{id}'");
    let _held = database.lock_rows(&row).await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let order = service
        .order_request(&token, &product)
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
        .header("x-request-timeout-ms", "3000");
    send(order, "")
        .await
        .expect_problem(408, "requested-timeout-exceeded");
    let line = wait_for_trace_log(&service, "a slow statement", trace_id).await;
    assert_eq!(line["abandoned"], true);
    assert!(
        line["statement"].as_str().unwrap().contains("FOR"),
        "{line}"
    );
    assert!(!line.to_string().contains(id), "{line}");
    service.stop(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_log_does_not_block_requests() {
    let database = seeded_database().await;
    // Talkative, to fill the pipe and the queue behind it.
    let orderly = OrderlyCommand::with_database(&database).set("ORDERLY__LOG__FILTER", "trace");
    let process = orderly.start_unread_after("\"message\":\"ready\"", &["serve"]);
    let client = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20));
    let service = ServiceProcess::from_process("http", client.build().unwrap(), process).await;
    let admin = async |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", service.admin_port);
        TestResponse::read(service.client.get(url).send().await.unwrap()).await
    };
    eventually("lines are dropped", async || {
        for _ in 0..20 {
            service.get("/v1/products", "").await.expect(200);
        }
        let metrics = admin("/metrics").await.text;
        let mut lines = metrics.lines();
        let dropped =
            lines.find_map(|line| line.strip_prefix("orderly_log_lines_dropped_total "))?;
        (dropped != "0").then_some(())
    })
    .await;
    service.get("/v1/products", "").await.expect(200);
    assert_eq!(admin("/livez").await.status, 200);

    service.process.signal(Signal::TERM);
    assert_eq!(service.process.wait().await.code, Some(0));
}

/// Waits for such a line of that trace.
async fn wait_for_trace_log(service: &ServiceProcess, message: &str, trace_id: &str) -> Value {
    eventually(&format!("{message} of {trace_id}"), async || {
        let mut log = service.process.log().into_iter();
        log.find(|line| line["message"] == message && line["trace_id"] == trace_id)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn shed_request_is_logged_without_error() {
    let database = seeded_database().await;
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__LOAD_SHEDDING__MIN_LIMIT", "1")
        .set("ORDERLY__LOAD_SHEDDING__MAX_LIMIT", "1");
    let service = ServiceProcess::start(&orderly).await;
    let mut blocker = database.connect().await;
    let lock = "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE";
    blocker.batch_execute(lock).await.unwrap();

    let waiting = service.get("/v1/products?search=a", "");
    let others = async {
        database.wait_for_lock_waiters(1).await;
        eventually("another one is shed", async || {
            let response = service.get("/v1/products?search=b", "").await;
            (response.status == 503).then_some(())
        })
        .await;
        blocker.batch_execute("ROLLBACK").await.unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, others);
    waited.expect(200);

    let log = service.stop(Signal::TERM).await;
    let shed = |line: &&Value| line["status"] == 503;
    assert!(log.iter().any(|line| shed(&line)), "its access line");
    for line in &log {
        assert_ne!(line["level"], "ERROR", "{line}");
    }
}
