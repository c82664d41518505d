//! Traces, as a real collector receives them: the tree of an order, what is in it and
//! what must not be, and that a collector that hangs is nobody's trouble but its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use xtask::process::Signal;

use crate::support::app::send;
use crate::support::collector::{Collector, ReceivedSpan};
use crate::support::gateway::start_gateway;
use crate::support::process::OrderlyCommand;
use crate::support::service_process::{ServiceProcess, seeded_database};

const KEY: &str = "canary-key";

fn traced(orderly: OrderlyCommand, collector: &Collector) -> OrderlyCommand {
    orderly
        .set("ORDERLY__TELEMETRY__OTLP_ENDPOINT", &collector.url)
        // A busy machine takes its time to export the last spans, which these tests are about.
        .set("ORDERLY__SHUTDOWN__TELEMETRY_TIMEOUT", "20s")
}

fn names(spans: &[ReceivedSpan]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

/// Those of its attributes, by name.
fn select_attributes(span: &ReceivedSpan, names: &[&str]) -> BTreeMap<String, String> {
    let attributes = span.attributes.clone().into_iter();
    attributes
        .filter(|(name, _)| names.contains(&name.as_str()))
        .collect()
}

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_trace_is_linked_to_order_trace() {
    let database = seeded_database().await;
    let collector = Collector::start().await;
    let gateway = start_gateway().await;
    let gateway_url = gateway.url();
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway_url);
    let service = ServiceProcess::start(&traced(orderly, &collector)).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let line = json!({"product_id": product["id"], "quantity": 1});
    let request = service
        .request(Method::POST, "/v1/orders?canary=query")
        .bearer_auth(&token)
        .header("idempotency-key", KEY)
        .json(&json!({"lines": [line]}));
    let order = send(request, "").await.expect(201);
    service.wait_for_order_status(&token, &order, "paid").await;
    // A stopped relay leaves its events to the next one, and their spans with them.
    database.wait_for_row_count("outbox", 0).await;
    let url = service.url.clone();
    service.stop(Signal::TERM).await;

    let root = collector.single_span("POST /v1/orders");
    assert_eq!((root.kind, root.parent.as_str()), (SpanKind::Server, ""));
    let expected = attributes(&[
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("http.route", "/v1/orders"),
        ("url.scheme", "http"),
    ]);
    assert_eq!(root.attributes, expected, "{url}");
    assert_eq!(root.resource["service.name"], "orderly");
    assert!(!root.failed);

    let children = collector.children(&root);
    let claim = "INSERT idempotency_keys";
    let write = "INSERT orders UPDATE products INSERT order_lines INSERT outbox \
                 INSERT jobs UPDATE idempotency_keys";
    let expected = [
        "pool wait",
        "BEGIN",
        claim,
        "SELECT products SELECT idempotency_keys",
        write,
        "COMMIT",
    ];
    assert_eq!(names(&children), expected);
    let expected = attributes(&[
        ("db.operation.name", "INSERT"),
        ("db.query.summary", write),
        ("db.system.name", "postgresql"),
    ]);
    assert_eq!(children[4].attributes, expected);
    assert_eq!(children[4].kind, SpanKind::Client);

    let job = collector.single_span("payment job");
    assert_eq!((job.kind, job.parent.as_str()), (SpanKind::Consumer, ""));
    assert_ne!(job.trace_id, root.trace_id);
    assert_eq!(job.links, [(root.trace_id.clone(), root.span_id.clone())]);
    assert_eq!(job.attributes["orderly.outcome"], "charged");
    let children = collector.children(&job);
    let settlement_spans = [
        "POST /charges",
        "pool wait",
        "BEGIN",
        "SELECT orders",
        "SELECT order_lines",
        "UPDATE orders",
        "INSERT payments",
        "INSERT outbox",
        "DELETE jobs",
        "COMMIT",
    ];
    assert_eq!(names(&children), settlement_spans);
    assert_eq!(children[0].kind, SpanKind::Client);
    let names = [
        "http.request.method",
        "http.response.status_code",
        "url.full",
    ];
    let charges = format!("{gateway_url}/charges");
    let expected = attributes(&[
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("url.full", &charges),
    ]);
    assert_eq!(select_attributes(&children[0], &names), expected);

    // Each event is linked to where it happened, however many are published at once.
    let published = collector.spans_named("publish events");
    let links: Vec<_> = published.iter().flat_map(|span| &span.links).collect();
    for cause in [&root, &job] {
        assert!(links.contains(&&(cause.trace_id.clone(), cause.span_id.clone())));
    }
    // Nothing of what was asked, and nothing that happens all the time.
    for span in collector.spans() {
        let text = format!("{span:?}");
        assert!(!text.contains("canary") && !text.contains(&token), "{text}");
        assert!(
            !span.parent.is_empty() || span.kind != SpanKind::Client,
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_server_errors_mark_span_as_failed() {
    let database = seeded_database().await;
    let collector = Collector::start().await;
    let service = ServiceProcess::start(&traced(
        OrderlyCommand::with_database(&database),
        &collector,
    ))
    .await;
    service.get("/canary", "").await.expect(404);
    database.block_connections().await;
    let problem = service
        .get("/v1/products?search=canary", "")
        .await
        .expect(503);
    service.stop(Signal::TERM).await;

    assert!(!collector.single_span("GET unmatched").failed);
    let failed = collector.single_span("GET /v1/products");
    assert!(failed.failed);
    assert_eq!(failed.trace_id, problem["trace_id"].as_str().unwrap());
    let (event, cause) = &failed.events[0];
    assert_eq!(event, "a request failed");
    assert!(
        cause["reason"].contains("not currently accepting connections"),
        "{cause:?}"
    );
}

/// The client chose the deadline that passes, so nothing in the trace or the log is an error.
#[tokio::test(flavor = "multi_thread")]
async fn requested_timeout_is_no_error_in_trace_or_log() {
    let database = seeded_database().await;
    let collector = Collector::start().await;
    let orderly = traced(OrderlyCommand::with_database(&database), &collector);
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let _held = database.lock_rows("SELECT 1 FROM products").await;
    let order = service.order_request(&token, &product);
    let order = order.header("x-request-timeout-ms", "1000");
    let problem = send(order, "").await;
    problem.expect_problem(408, "requested-timeout-exceeded");
    for line in service.stop(Signal::TERM).await {
        assert_ne!(line["level"], "ERROR", "{line}");
    }
    let request = collector.single_span("POST /v1/orders");
    let spans = collector.spans();
    let of_request = spans
        .iter()
        .filter(|span| span.trace_id == request.trace_id);
    let of_request: Vec<_> = of_request.collect();
    assert!(of_request.len() > 2, "{of_request:?}");
    assert!(of_request.iter().all(|span| !span.failed), "{of_request:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_lookup_has_span() {
    let database = seeded_database().await;
    let collector = Collector::start().await;
    let redis = std::env::var("ORDERLY_TEST_REDIS_URL").unwrap();
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__REDIS__URL", &redis)
        .set("ORDERLY__RATE_LIMIT__ENABLED", "false")
        .set("ORDERLY__EVENTS__STREAM", database.name())
        .set("ORDERLY__CACHE__KEY_PREFIX", database.name());
    let service = ServiceProcess::start(&traced(orderly, &collector)).await;
    service.get("/v1/products?limit=1", "").await.expect(200);
    service.stop(Signal::TERM).await;
    let look_up = collector.single_span("EVALSHA cache_look_up");
    assert_eq!(look_up.kind, SpanKind::Client);
    let expected = attributes(&[
        ("db.operation.name", "EVALSHA"),
        ("db.query.summary", "EVALSHA cache_look_up"),
        ("db.system.name", "redis"),
    ]);
    assert_eq!(look_up.attributes, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn sampling_ratio_0_exports_only_sampled_callers() {
    let database = seeded_database().await;
    let collector = Collector::start().await;
    let orderly = traced(OrderlyCommand::with_database(&database), &collector);
    let service =
        ServiceProcess::start(&orderly.set("ORDERLY__TELEMETRY__SAMPLING_RATIO", "0")).await;
    let sampled = "4bf92f3577b34da6a3ce929d0e0e4736";
    let not_sampled = "0af7651916cd43dd8448eb211c80319c";
    for (trace_id, flags) in [(not_sampled, "00"), (sampled, "01")] {
        let caller = format!("00-{trace_id}-00f067aa0ba902b7-{flags}");
        let request = service.request(Method::GET, "/v1/products?search=a");
        let request = request.header("traceparent", caller);
        send(request, "").await.expect(200);
    }
    service.get("/v1/products?search=a", "").await.expect(200);
    service.stop(Signal::TERM).await;

    let spans = collector.spans();
    let expected = ["GET /v1/products", "pool wait", "SELECT products"];
    assert_eq!(names(&spans), expected);
    assert_eq!(spans[0].parent, "00f067aa0ba902b7");
    assert!(spans.iter().all(|span| span.trace_id == sampled));
}

/// Takes connections and whatever comes over them, and never says a word.
async fn start_black_hole() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_collector_does_not_delay_requests() {
    let database = seeded_database().await;
    let orderly = OrderlyCommand::with_database(&database)
        .set(
            "ORDERLY__TELEMETRY__OTLP_ENDPOINT",
            &start_black_hole().await,
        )
        .set("ORDERLY__TELEMETRY__EXPORT_TIMEOUT", "1m")
        .set("ORDERLY__RATE_LIMIT__ENABLED", "false")
        .set("ORDERLY__SHUTDOWN__TELEMETRY_TIMEOUT", "100ms");
    let service = Arc::new(ServiceProcess::start(&orderly).await);
    // More than the queue of spans has room for, and each in less time than one export
    // waits for the collector.
    let clients = (0..8).map(|_| {
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            for _ in 0..1200 {
                let request = service.request(Method::GET, "/nowhere");
                let answered = request.timeout(Duration::from_secs(30)).send().await;
                assert_eq!(answered.unwrap().status(), 404);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let service = Arc::into_inner(service).unwrap();
    let log = service.stop(Signal::TERM).await;
    let has_message = |message: &str| log.iter().any(|line| line["message"] == message);
    assert!(has_message("the last spans were not exported"), "{log:#?}");
}
