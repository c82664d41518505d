//! The admin listener: probes and metrics, on a port of its own that is not for
//! clients.
//!
//! | path | asks | 200 | 503 |
//! |---|---|---|---|
//! | `/livez` | restart it? | always | never: a restart mends no dependency |
//! | `/startupz` | has it started? | from then on | before |
//! | `/readyz` | send it requests? | it runs and its essentials are well | it starts, shuts down, or lost Postgres |
//! | `/healthz` | what is wrong? | healthy or degraded | unhealthy |
//! | `/metrics` | | Prometheus' text format | |
//!
//! It starts before everything else and ends after it, so that a probe always gets
//! an answer. What the checks mean: [`crate::health`].

use std::net::TcpListener;
use std::time::Instant;

use actix_web::dev::Server;
use actix_web::http::Method;
use actix_web::http::header::ContentType;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, web};
use prometheus::{Encoder as _, TextEncoder};
use serde_json::{Value, json};

use super::middleware::problems::write_problems;
use super::middleware::request_head::{ListenerMethods, check_head};
use super::problem::{Problem, ProblemKind};
use super::resource::plain_resource;
use super::transport::{self, Listener};
use crate::health::{Health, HealthReport, HealthStatus};
use crate::lifecycle::readiness::{LifecycleState, Readiness};
use crate::limits::connections::Connections;
use crate::telemetry::metrics::MetricRegistry;

struct AdminState {
    health: Health,
    readiness: Readiness,
    registry: MetricRegistry,
    started_at: Instant,
}

/// Starts to listen.
///
/// # Errors
/// Returns an error if the listener can't be used.
pub(crate) fn start(
    socket: TcpListener,
    connections: Connections,
    health: Health,
    readiness: Readiness,
    registry: MetricRegistry,
) -> anyhow::Result<Server> {
    let state = web::Data::new(AdminState {
        health,
        readiness,
        registry,
        started_at: Instant::now(),
    });
    let application = move || {
        App::new()
            .app_data(state.clone())
            .configure(configure)
            .wrap(from_fn(check_head))
            .wrap(from_fn(write_problems))
    };
    let listener = Listener {
        socket,
        tls: None,
        workers: 1,
        connections,
    };
    Ok(transport::listen(listener, application)?)
}

fn configure(app: &mut web::ServiceConfig) {
    app.app_data(web::Data::new(ListenerMethods("GET, HEAD".to_owned())));
    for (path, route) in [
        ("/livez", web::to(check_liveness)),
        ("/startupz", web::to(check_startup)),
        ("/readyz", web::to(check_readiness)),
        ("/healthz", web::to(check_health)),
        ("/metrics", web::to(export_metrics)),
    ] {
        app.service(plain_resource(path.to_owned(), vec![(Method::GET, route)]));
    }
    app.default_service(web::to(not_found));
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::new(
        ProblemKind::NotFound,
        "there is only GET of /livez, /startupz, /readyz, /healthz, /metrics",
    ))
}

async fn check_liveness() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

async fn check_startup(state: web::Data<AdminState>) -> HttpResponse {
    match state.readiness.state() {
        LifecycleState::Starting => {
            HttpResponse::ServiceUnavailable().json(json!({ "status": "starting" }))
        }
        LifecycleState::Ready | LifecycleState::Stopping => {
            HttpResponse::Ok().json(json!({ "status": "started" }))
        }
    }
}

async fn check_readiness(state: web::Data<AdminState>) -> HttpResponse {
    let reason = match state.readiness.state() {
        LifecycleState::Starting => Some("starting".to_owned()),
        LifecycleState::Stopping => Some("shutting down".to_owned()),
        LifecycleState::Ready => not_ready_reason(&state.health.essential_report().await),
    };
    match reason {
        None => HttpResponse::Ok().json(json!({ "status": "ready" })),
        Some(reason) => HttpResponse::ServiceUnavailable()
            .json(json!({ "status": "not ready", "reason": reason })),
    }
}

/// What can't be done without and is gone.
fn not_ready_reason(report: &HealthReport) -> Option<String> {
    report
        .checks
        .iter()
        .find(|(_, check)| check.status == HealthStatus::Unhealthy)
        .map(|(name, check)| match &check.details["error"] {
            Value::String(error) => format!("{name}: {error}"),
            _ => (*name).to_owned(),
        })
}

async fn check_health(state: web::Data<AdminState>) -> HttpResponse {
    let HealthReport { status, checks } = state.health.report().await;
    let mut response = match status {
        HealthStatus::Unhealthy => HttpResponse::ServiceUnavailable(),
        HealthStatus::Healthy | HealthStatus::Degraded => HttpResponse::Ok(),
    };
    response.json(json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("ORDERLY_BUILT_COMMIT"),
        "uptime_seconds": state.started_at.elapsed().as_secs(),
        "checks": checks,
    }))
}

async fn export_metrics(state: web::Data<AdminState>) -> HttpResponse {
    // For `orderly_health_check_status`: nobody else may have looked for a while.
    state.health.report().await;
    let mut text = Vec::new();
    match TextEncoder::new().encode(&state.registry.gather(), &mut text) {
        Ok(()) => HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics can't be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
