//! The API listener.

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use actix_web_prom::{ActixMetricsConfiguration, PrometheusMetrics, PrometheusMetricsBuilder};
use anyhow::anyhow;
use prometheus::Registry;
use rustls::ServerConfig;
use tracing_actix_web::TracingLogger;

use super::connection_tracker::ConnectionTracker;
use super::cors;
use super::middleware::body_buffering::{BodyBufferPermits, buffer_body};
use super::middleware::connection_close::close_when_stopping;
use super::middleware::load_shedding::shed_load;
use super::middleware::method_normalization::normalize_method;
use super::middleware::problems::write_problems;
use super::middleware::rate_limit::limit_rate;
use super::middleware::request_span::{RequestSpan, UNMATCHED};
use super::middleware::security_headers::add_security_headers;
use super::routes;
use crate::config::HttpConfig;
use crate::health::event_loop::EventLoops;
use crate::lifecycle::readiness::Readiness;
use crate::limits::RateLimits;
use crate::resilience::in_flight::InFlightLimit;
use crate::telemetry::metrics::Metrics;
use crate::usecases::Services;

/// What all workers share.
pub(crate) struct ServerDependencies {
    /// For the handlers.
    pub(crate) services: Services,
    /// For shedding.
    pub(crate) in_flight: InFlightLimit,
    /// For closing connections when the service stops.
    pub(crate) readiness: Readiness,
    /// For knowing what is left when it stops.
    pub(crate) connections: ConnectionTracker,
    /// For measuring how late each worker is.
    pub(crate) event_loops: EventLoops,
    /// For rate limits.
    pub(crate) limits: RateLimits,
    /// For panics, and for the requests themselves.
    pub(crate) metrics: Metrics,
}

/// Starts to listen, with TLS if there is a configuration for it. The server runs when it is polled, and stops when its
/// handle says so.
///
/// What is shared by all workers is made here, outside the closure: inside, each
/// worker would have its own.
///
/// # Errors
/// If the metrics are registered twice or the listener can't be used.
pub(crate) fn start(
    listener: TcpListener,
    tls: Option<ServerConfig>,
    http: &HttpConfig,
    dependencies: ServerDependencies,
) -> anyhow::Result<Server> {
    let ServerDependencies { event_loops, .. } = dependencies;
    let services = web::Data::new(dependencies.services);
    let body_limit = web::PayloadConfig::new(http.body_limit_bytes);
    let config = web::Data::new(http.clone());
    let body_buffer_permits = web::Data::new(BodyBufferPermits::new(http));
    let request_metrics = request_metrics(dependencies.metrics.registry.clone())?;
    let metrics = web::Data::new(dependencies.metrics);
    let in_flight = web::Data::new(dependencies.in_flight);
    let readiness = web::Data::new(dependencies.readiness);
    let connections = web::Data::new(dependencies.connections.clone());
    let limits = web::Data::new(dependencies.limits);
    let server = HttpServer::new(move || {
        // This runs once on the thread of each worker.
        actix_web::rt::spawn(event_loops.clone().run_probe("http_worker"));
        // The last one wraps all others: metrics and problems see the span.
        App::new()
            .app_data(services.clone())
            .app_data(body_limit.clone())
            .app_data(config.clone())
            .app_data(body_buffer_permits.clone())
            .app_data(metrics.clone())
            .app_data(in_flight.clone())
            .app_data(readiness.clone())
            .app_data(limits.clone())
            .app_data(connections.clone())
            .configure(routes::configure)
            .wrap(from_fn(limit_rate))
            .wrap(from_fn(shed_load))
            .wrap(from_fn(buffer_body))
            .wrap(cors::allow_configured_origins(&config))
            .wrap(from_fn(write_problems))
            .wrap(from_fn(add_security_headers))
            .wrap(from_fn(close_when_stopping))
            .wrap(request_metrics.clone())
            .wrap(TracingLogger::<RequestSpan>::new())
            .wrap(from_fn(normalize_method))
    })
    .on_connect(move |stream, connection| {
        dependencies
            .connections
            .track_connection(stream, connection)
    })
    .workers(http.workers)
    .max_connections(http.max_connections.div_ceil(http.workers))
    .keep_alive(http.keep_alive)
    .client_request_timeout(http.request_header_timeout)
    // The drain has a deadline of its own, see `lifecycle::shutdown`.
    .shutdown_timeout(u64::from(u32::MAX))
    .tls_handshake_timeout(http.request_header_timeout)
    .disable_signals();
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// What actix-web-prom registers: name, type and meaning.
pub(crate) const REQUEST_METRICS: [(&str, &str, &str); 2] = [
    (
        "orderly_http_requests_total",
        "counter",
        "Requests answered, by route template (endpoint; one for all that fit no route), method and status",
    ),
    (
        "orderly_http_request_duration_seconds",
        "histogram",
        "Time to answer a request, to the last byte of the body",
    ),
];

/// The labels of all of [`REQUEST_METRICS`].
pub(crate) const REQUEST_LABELS: [&str; 3] = ["endpoint", "method", "status"];

fn request_metrics(registry: Registry) -> anyhow::Result<PrometheusMetrics> {
    PrometheusMetricsBuilder::new("orderly")
        .registry(registry)
        // Paths that fit no route are anybody's invention: one series for all.
        .mask_unmatched_patterns(UNMATCHED)
        .metrics_configuration(
            ActixMetricsConfiguration::default()
                .http_requests_duration_seconds_name("http_request_duration_seconds"),
        )
        .build()
        .map_err(|error| anyhow!("the HTTP metrics: {error}"))
}
