//! An OpenTelemetry collector: it takes spans over OTLP/gRPC and keeps them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Any, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio_util::task::AbortOnDropHandle;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A span as it arrived. Ids are in hexadecimal; attributes are texts.
#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    pub name: String,
    pub kind: SpanKind,
    pub trace_id: String,
    pub span_id: String,
    /// Empty for the first span of a trace.
    pub parent: String,
    /// Trace and span.
    pub links: Vec<(String, String)>,
    pub attributes: BTreeMap<String, String>,
    pub failed: bool,
    pub start: u64,
    /// Names of events and their attributes.
    pub events: Vec<(String, BTreeMap<String, String>)>,
    /// Of the process that it came from.
    pub resource: BTreeMap<String, String>,
}

/// The collector; it stops with the value.
pub struct Collector {
    pub url: String,
    spans: SpanStore,
    _server: AbortOnDropHandle<()>,
}

#[derive(Clone, Default)]
struct SpanStore {
    spans: Arc<Mutex<Vec<ReceivedSpan>>>,
    last_headers: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Collector {
    /// On a free port.
    pub async fn start() -> Self {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let spans = SpanStore::default();
        let service =
            TraceServiceServer::new(spans.clone()).accept_compressed(CompressionEncoding::Gzip);
        let server = Server::builder().add_service(service);
        let server = async move { server.serve_with_incoming(incoming).await.unwrap() };
        Self {
            url,
            spans,
            _server: AbortOnDropHandle::new(tokio::spawn(server)),
        }
    }

    /// What has arrived up to now, in the order in which the spans began.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        let mut spans = self.spans.spans.lock().unwrap().clone();
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// The headers of the last export.
    pub fn last_headers(&self) -> BTreeMap<String, String> {
        self.spans.last_headers.lock().unwrap().clone()
    }

    /// The spans with that name.
    pub fn spans_named(&self, name: &str) -> Vec<ReceivedSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        spans
    }

    /// The one span with that name.
    pub fn single_span(&self, name: &str) -> ReceivedSpan {
        let mut spans = self.spans_named(name);
        assert_eq!(spans.len(), 1, "{name}: {:#?}", self.spans());
        spans.remove(0)
    }

    /// The spans directly below one.
    pub fn children(&self, parent: &ReceivedSpan) -> Vec<ReceivedSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace_id == parent.trace_id && span.parent == parent.span_id);
        spans
    }
}

#[tonic::async_trait]
impl TraceService for SpanStore {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers = request.metadata().clone().into_headers();
        let headers = headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        });
        *self.last_headers.lock().unwrap() = headers.collect();
        let mut received = self.spans.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            let parent = texts(&resource.resource.unwrap_or_default().attributes);
            let scopes = resource.scope_spans.into_iter();
            received.extend(
                scopes
                    .flat_map(|scope| scope.spans)
                    .map(|span| read(span, &parent)),
            );
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn read(span: Span, resource: &BTreeMap<String, String>) -> ReceivedSpan {
    let links = span.links.iter();
    let events = span.events.iter();
    ReceivedSpan {
        kind: span.kind(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: links
            .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
            .collect(),
        attributes: texts(&span.attributes),
        failed: span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == StatusCode::Error),
        start: span.start_time_unix_nano,
        events: events
            .map(|event| (event.name.clone(), texts(&event.attributes)))
            .collect(),
        resource: resource.clone(),
        name: span.name,
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<Any>| match value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(AnyValue::StringValue(text)) => text.clone(),
        Some(AnyValue::IntValue(number)) => number.to_string(),
        Some(AnyValue::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let entries = attributes.iter();
    entries
        .map(|entry| (entry.key.clone(), text(&entry.value)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
