//! The API listener.

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use rustls::ServerConfig;
use tracing_actix_web::TracingLogger;

use super::cors;
use super::endpoint::EndpointIndex;
use super::middleware::body_buffering::{BodyBufferPermits, buffer_body};
use super::middleware::connection_close::close_when_stopping;
use super::middleware::load_shedding::shed_load;
use super::middleware::method_normalization::normalize_method;
use super::middleware::problems::write_problems;
use super::middleware::rate_limit::limit_rate;
use super::middleware::request_head::check_head;
use super::middleware::request_span::RequestSpan;
use super::middleware::security_headers::add_security_headers;
use super::request_metrics::request_metrics;
use super::routes;
use super::transport::{self, Listener};
use crate::config::HttpConfig;
use crate::health::event_loop::EventLoops;
use crate::lifecycle::readiness::Readiness;
use crate::limits::RateLimits;
use crate::limits::connections::Connections;
use crate::resilience::concurrency_limit::InFlightLimit;
use crate::telemetry::metrics::Metrics;
use crate::usecases::Services;

/// What all workers share.
pub(crate) struct ServerDependencies {
    pub(crate) services: Services,
    pub(crate) in_flight: InFlightLimit,
    /// For closing connections when the service stops.
    pub(crate) readiness: Readiness,
    /// Limits of the listener's connections.
    pub(crate) connections: Connections,
    /// For measuring how late each worker is.
    pub(crate) event_loops: EventLoops,
    pub(crate) limits: RateLimits,
    /// For panics, and for the requests themselves.
    pub(crate) metrics: Metrics,
}

/// Data that handlers and middleware take out of a request.
///
/// It is made once and cloned for each worker: made inside of the closure of [`transport::listen`],
/// each worker would have its own.
#[derive(Clone)]
struct SharedData {
    services: web::Data<Services>,
    config: web::Data<HttpConfig>,
    endpoint_index: web::Data<EndpointIndex>,
    body_buffer_permits: web::Data<BodyBufferPermits>,
    in_flight: web::Data<InFlightLimit>,
    readiness: web::Data<Readiness>,
    limits: web::Data<RateLimits>,
    metrics: web::Data<Metrics>,
}

impl SharedData {
    fn new(http: &HttpConfig, dependencies: ServerDependencies) -> Self {
        Self {
            services: web::Data::new(dependencies.services),
            config: web::Data::new(http.clone()),
            endpoint_index: web::Data::new(EndpointIndex::new(routes::endpoints())),
            body_buffer_permits: web::Data::new(BodyBufferPermits::new(http)),
            in_flight: web::Data::new(dependencies.in_flight),
            readiness: web::Data::new(dependencies.readiness),
            limits: web::Data::new(dependencies.limits),
            metrics: web::Data::new(dependencies.metrics),
        }
    }

    fn register(self, app: &mut web::ServiceConfig) {
        app.app_data(web::PayloadConfig::new(self.config.body_limit_bytes))
            .app_data(self.services)
            .app_data(self.config)
            .app_data(self.endpoint_index)
            .app_data(self.body_buffer_permits)
            .app_data(self.in_flight)
            .app_data(self.readiness)
            .app_data(self.limits)
            .app_data(self.metrics);
    }
}

/// Starts to listen, with TLS if there is a configuration for it. The server runs when it is polled, and stops when its
/// handle says so.
///
/// # Errors
/// Returns an error if the metrics are registered already or the listener can't be used.
pub(crate) fn start(
    socket: TcpListener,
    tls: Option<ServerConfig>,
    http: &HttpConfig,
    dependencies: ServerDependencies,
) -> anyhow::Result<Server> {
    let request_metrics = request_metrics(&dependencies.metrics.registry)?;
    let event_loops = dependencies.event_loops.clone();
    let connections = dependencies.connections.clone();
    let shared = SharedData::new(http, dependencies);
    let application = move || {
        // This runs once on the thread of each worker.
        actix_web::rt::spawn(event_loops.clone().run_probe("http_worker"));
        let shared = shared.clone();
        let endpoints = routes::endpoints();
        let cors = cors::allow_configured_origins(&shared.config, &endpoints);
        // The last one wraps all others: metrics and problems see the span.
        App::new()
            .configure(|app| shared.register(app))
            .configure(|app| routes::configure(app, endpoints))
            .wrap(from_fn(limit_rate))
            .wrap(from_fn(shed_load))
            .wrap(from_fn(buffer_body))
            .wrap(cors)
            .wrap(from_fn(check_head))
            .wrap(from_fn(write_problems))
            .wrap(from_fn(add_security_headers))
            .wrap(from_fn(close_when_stopping))
            .wrap(request_metrics.clone())
            .wrap(TracingLogger::<RequestSpan>::new())
            .wrap(from_fn(normalize_method))
    };
    let listener = Listener {
        socket,
        tls,
        workers: http.workers,
        connections,
    };
    Ok(transport::listen(listener, application)?)
}
