//! The API listener.

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use actix_web_prom::{ActixMetricsConfiguration, PrometheusMetrics, PrometheusMetricsBuilder};
use anyhow::anyhow;
use prometheus::Registry;
use tracing_actix_web::TracingLogger;

use super::middleware::problems::write_problems;
use super::middleware::request_span::{RequestSpan, UNMATCHED};
use super::routes;
use crate::config::{HttpConfig, ShutdownConfig};
use crate::usecases::Services;

/// Starts to listen. The server runs when it is polled, and stops when its
/// handle says so.
///
/// What is shared by all workers is made here, outside the closure: inside, each
/// worker would have its own.
///
/// # Errors
/// If the metrics are registered twice or the listener can't be used.
pub fn start(
    listener: TcpListener,
    http: &HttpConfig,
    shutdown: &ShutdownConfig,
    services: Services,
    registry: Registry,
) -> anyhow::Result<Server> {
    let services = web::Data::new(services);
    let body_limit = web::PayloadConfig::new(http.body_limit_bytes);
    let metrics = request_metrics(registry)?;
    let server = HttpServer::new(move || {
        // The last one wraps all others: metrics and problems see the span.
        App::new()
            .app_data(services.clone())
            .app_data(body_limit.clone())
            .configure(routes::configure)
            .wrap(from_fn(write_problems))
            .wrap(metrics.clone())
            .wrap(TracingLogger::<RequestSpan>::new())
    })
    .workers(http.workers)
    .keep_alive(http.keep_alive)
    .client_request_timeout(http.request_head_timeout)
    .shutdown_timeout(shutdown.drain.as_secs_f64().ceil() as u64)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

fn request_metrics(registry: Registry) -> anyhow::Result<PrometheusMetrics> {
    PrometheusMetricsBuilder::new("orderly")
        .registry(registry)
        // Paths that fit no route are anybody's invention: one series for all.
        .mask_unmatched_patterns(UNMATCHED)
        .metrics_configuration(ActixMetricsConfiguration::default())
        .build()
        .map_err(|error| anyhow!("the HTTP metrics: {error}"))
}
