//! The admin listener: probes and metrics, on a port of its own that is not for
//! clients.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};
use prometheus::{Encoder as _, Registry, TextEncoder};

use crate::lifecycle::readiness::Readiness;
use crate::usecases::Services;
use crate::usecases::probe::database_answers;

/// Starts to listen. `/livez`: the process runs. `/readyz`: send it requests.
/// `/metrics`: Prometheus' text format.
///
/// # Errors
/// If the listener can't be used.
pub fn start(
    listener: TcpListener,
    services: Services,
    readiness: Readiness,
    registry: Registry,
) -> anyhow::Result<Server> {
    let services = web::Data::new(services);
    let readiness = web::Data::new(readiness);
    let registry = web::Data::new(registry);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(services.clone())
            .app_data(readiness.clone())
            .app_data(registry.clone())
            .route("/livez", web::get().to(live))
            .route("/readyz", web::get().to(ready))
            .route("/metrics", web::get().to(metrics))
    })
    .workers(1)
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "alive" }))
}

async fn ready(services: web::Data<Services>, readiness: web::Data<Readiness>) -> HttpResponse {
    let refuse = |reason: &str| {
        HttpResponse::ServiceUnavailable()
            .json(serde_json::json!({ "status": "not ready", "reason": reason }))
    };
    if !readiness.is_ready() {
        return refuse("starting or shutting down");
    }
    match database_answers(&services).await {
        Ok(()) => HttpResponse::Ok().json(serde_json::json!({ "status": "ready" })),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            refuse("the database does not answer")
        }
    }
}

async fn metrics(registry: web::Data<Registry>) -> HttpResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics can't be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
