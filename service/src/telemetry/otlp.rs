//! Sends spans to the collector: OTLP over gRPC, by the client that is generated from the protocol's definition.
//!
//! The exporter of the crate `opentelemetry-otlp` reads headers and compression from `OTEL_*` variables and cannot be kept
//! from it, so that these would overrule the validated settings ([`crate::config`]).

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tonic::codec::CompressionEncoding;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::config::{Compression, TelemetryConfig, variable_name};

/// Sends each batch once: the collector, not the service, is the place for a queue with retries.
#[derive(Debug)]
pub(super) struct OtlpExporter {
    client: TraceServiceClient<Channel>,
    headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
    timeout: Duration,
    resource: ResourceAttributesWithSchema,
}

impl OtlpExporter {
    /// Prepares the connection, which is opened by the first export.
    ///
    /// # Errors
    /// Returns an error if the collector's URL can't be used.
    pub(super) fn new(config: &TelemetryConfig) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(config.otlp_endpoint.clone()).with_context(|| {
            format!("{} can't be used", variable_name("telemetry.otlp_endpoint"))
        })?;
        let channel = endpoint.timeout(config.export_timeout).connect_lazy();
        let client = TraceServiceClient::new(channel);
        Ok(Self {
            client: match config.compression {
                Compression::None => client,
                Compression::Gzip => client.send_compressed(CompressionEncoding::Gzip),
            },
            headers: config.headers(),
            timeout: config.export_timeout,
            resource: ResourceAttributesWithSchema::default(),
        })
    }
}

impl SpanExporter for OtlpExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let mut request = Request::new(ExportTraceServiceRequest { resource_spans });
        for (name, value) in &self.headers {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        // Also tells the collector, in the header `grpc-timeout`.
        request.set_timeout(self.timeout);
        match self.client.clone().export(request).await {
            Ok(response) => match response.into_inner().partial_success {
                Some(partial) if partial.rejected_spans > 0 => {
                    let rejected = partial.rejected_spans;
                    let message = partial.error_message;
                    let reason = format!("the collector rejected {rejected} spans: {message}");
                    Err(OTelSdkError::InternalFailure(reason))
                }
                _ => Ok(()),
            },
            Err(status) => Err(OTelSdkError::InternalFailure(describe(&status))),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// The `Display` of a status has the response's headers, which say nothing about the cause.
fn describe(status: &Status) -> String {
    let (code, message) = (status.code(), status.message());
    match std::error::Error::source(status) {
        Some(cause) => format!("{code:?}: {message}: {cause}"),
        None => format!("{code:?}: {message}"),
    }
}
