//! Standard `OTEL_*` variables and the real process: what reaches the collector, and what is logged.

use reqwest::Method;

use crate::support::app::send;
use crate::support::collector::Collector;
use crate::support::database::TestDatabase;
use crate::support::process::OrderlyCommand;
use crate::support::service_process::ServiceProcess;
use xtask::process::Signal;

fn orderly(database: &TestDatabase) -> OrderlyCommand {
    OrderlyCommand::with_database(database).set("ORDERLY__SHUTDOWN__TELEMETRY_TIMEOUT", "20s")
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_variables_reach_collector() {
    let (database, collector) = (TestDatabase::new().await, Collector::start().await);
    let orderly = orderly(&database)
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .set("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .set(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "Authorization=Basic%20abc,x-tenant=shop",
        )
        .set("OTEL_SERVICE_NAME", "shop-orders")
        .set(
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=other,team=order%20desk,service.instance.id=7",
        )
        .set("OTEL_PROPAGATORS", "b3")
        .set("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0");
    let service = ServiceProcess::start(&orderly).await;
    service.get("/v1/products?limit=1", "").await.expect(200);
    let log = service.stop(Signal::TERM).await;

    let span = collector.single_span("GET /v1/products");
    for (name, value) in [
        ("service.name", "shop-orders"),
        ("service.instance.id", "7"),
        ("team", "order desk"),
    ] {
        assert_eq!(span.resource[name], value);
    }
    // A variable that is ignored has no effect in the library either.
    assert_eq!(span.attributes["http.route"], "/v1/products");
    let headers = collector.last_headers();
    for (name, value) in [
        ("authorization", "Basic abc"),
        ("x-tenant", "shop"),
        ("grpc-encoding", "gzip"),
    ] {
        assert_eq!(
            headers.get(name).map(String::as_str),
            Some(value),
            "{headers:?}"
        );
    }
    let warnings: Vec<_> = (log.iter())
        .filter(|line| line["message"] == "OpenTelemetry variables ignored")
        .collect();
    assert_eq!(warnings.len(), 1, "{log:#?}");
    assert_eq!(
        warnings[0]["variables"],
        "OTEL_PROPAGATORS, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn own_settings_win_inside_the_exporter() {
    let (database, collector) = (TestDatabase::new().await, Collector::start().await);
    let orderly = orderly(&database)
        .set("ORDERLY__TELEMETRY__OTLP_ENDPOINT", &collector.url)
        .set("ORDERLY__TELEMETRY__COMPRESSION", "none")
        .set("ORDERLY__TELEMETRY__OTLP_HEADERS", "x-tenant=own")
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .set("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .set(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-tenant=standard,authorization=x",
        );
    let service = ServiceProcess::start(&orderly).await;
    service.get("/v1/products?limit=1", "").await.expect(200);
    service.stop(Signal::TERM).await;
    assert_eq!(
        collector.single_span("GET /v1/products").resource["service.name"],
        "orderly"
    );
    let headers = collector.last_headers();
    assert_eq!(headers.get("x-tenant").map(String::as_str), Some("own"));
    assert!(!headers.contains_key("authorization"), "{headers:?}");
    assert!(!headers.contains_key("grpc-encoding"), "{headers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sampler_without_parent_overrules_the_caller() {
    let (database, collector) = (TestDatabase::new().await, Collector::start().await);
    let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00";
    for (sampler, expected) in [
        ("always_off", 0),
        ("parentbased_always_off", 1),
        ("always_on", 3),
    ] {
        let orderly = orderly(&database)
            .set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector.url)
            .set("OTEL_TRACES_SAMPLER", sampler);
        let service = ServiceProcess::start(&orderly).await;
        for caller in [sampled, unsampled] {
            let request = service.request(Method::GET, "/v1/products?search=a");
            send(request.header("traceparent", caller), "")
                .await
                .expect(200);
        }
        service.stop(Signal::TERM).await;
        let spans = collector.spans_named("GET /v1/products");
        assert_eq!(spans.len(), expected, "{sampler}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_sdk_exports_nothing() {
    let (database, collector) = (TestDatabase::new().await, Collector::start().await);
    let orderly = orderly(&database)
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .set("OTEL_SDK_DISABLED", "true");
    let service = ServiceProcess::start(&orderly).await;
    service.get("/v1/products?limit=1", "").await.expect(200);
    service.stop(Signal::TERM).await;
    assert!(collector.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_standard_variable_stops_start_by_its_name() {
    let message = OrderlyCommand::new()
        .set("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")
        .fail(78, &["serve"])
        .await;
    assert!(
        message.contains("OTEL_EXPORTER_OTLP_COMPRESSION"),
        "{message}"
    );
    assert!(!message.contains("ORDERLY__"), "{message}");
}
