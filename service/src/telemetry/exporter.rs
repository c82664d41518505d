//! Says once that the collector takes no spans, and once that it does again.
//!
//! The SDK would log each batch that fails, which under load is many a second, for as
//! long as the collector is away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter around another one.
#[derive(Debug)]
pub(super) struct LogOnceExporter<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E> LogOnceExporter<E> {
    pub(super) fn new(exporter: E) -> Self {
        Self {
            exporter,
            failing: AtomicBool::new(false),
        }
    }
}

impl<E: SpanExporter> SpanExporter for LogOnceExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let was_failing = self.failing.swap(exported.is_err(), Ordering::Relaxed);
        match exported {
            Ok(()) if was_failing => tracing::info!("the collector takes spans again"),
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the collector takes no spans; they are dropped");
            }
            Ok(()) | Err(_) => {}
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
