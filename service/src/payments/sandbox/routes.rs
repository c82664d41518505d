//! The sandbox's HTTP side.

use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde_json::json;

use super::error::SandboxError;
use super::extractors::{LoopbackPeer, SandboxIdempotencyKey};
use super::faults::Faults;
use super::ledger::{ChargeResult, RefundResult, SandboxLedger};
use super::requests::{ChargeRequest, RefundRequest};
use crate::resilience::mutex::lock;

/// A request is a few hundred bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Arc<SandboxLedger>,
    pub(super) faults: Mutex<Faults>,
}

impl State {
    fn faults(&self) -> Faults {
        *lock(&self.faults)
    }

    fn set_faults(&self, faults: Faults) -> HttpResponse {
        *lock(&self.faults) = faults;
        HttpResponse::Ok().json(faults)
    }
}

/// The routes, over one shared state.
pub(super) fn configure(state: web::Data<State>) -> impl FnOnce(&mut web::ServiceConfig) {
    let json = web::JsonConfig::default()
        .limit(MAX_BODY_BYTES)
        .error_handler(|error, _| SandboxError::from(error).into());
    move |app| {
        app.app_data(state)
            .app_data(json)
            .route("/charges", web::post().to(create_charge))
            .route("/refunds", web::post().to(create_refund))
            .route("/ledger", web::get().to(list_ledger_entries))
            .route("/health", web::get().to(check_health))
            .service(
                web::resource("/faults")
                    .get(get_faults)
                    .put(replace_faults)
                    .delete(clear_faults),
            );
    }
}

async fn create_charge(
    request: HttpRequest,
    key: SandboxIdempotencyKey,
    body: web::Json<ChargeRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, SandboxError> {
    let body = body.into_inner();
    body.validate()?;
    let faults = state.faults();
    let decline = faults.should_decline(body.amount_minor);
    let ledger = Arc::clone(&state.ledger);
    let work = async {
        let result = web::block(move || ledger.charge(key.as_str(), &body, decline)).await??;
        Ok(charge_response(result))
    };
    faults.apply(&request, work).await
}

fn charge_response(result: ChargeResult) -> HttpResponse {
    match result {
        ChargeResult::Charged { entry, is_new } => {
            let status = if is_new {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            HttpResponse::build(status).json(json!({
                "id": entry.id,
                "status": "succeeded",
                "reference": entry.reference,
                "amount_minor": entry.amount_minor,
                "currency": entry.currency,
                "created_at": entry.at,
            }))
        }
        ChargeResult::Declined => HttpResponse::PaymentRequired()
            .json(json!({ "status": "declined", "reason": "insufficient_funds" })),
        ChargeResult::Voided => HttpResponse::Conflict().json(json!({ "status": "voided" })),
        ChargeResult::KeyReused => key_reused_response(),
    }
}

async fn create_refund(
    request: HttpRequest,
    key: SandboxIdempotencyKey,
    body: web::Json<RefundRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, SandboxError> {
    body.validate()?;
    let ledger = Arc::clone(&state.ledger);
    let work = async {
        let result = web::block(move || ledger.refund(key.as_str(), &body.reference)).await??;
        Ok(refund_response(result))
    };
    state.faults().apply(&request, work).await
}

fn refund_response(result: RefundResult) -> HttpResponse {
    match result {
        RefundResult::Refunded { entry, charge_id } => HttpResponse::Ok().json(json!({
            "id": entry.id,
            "status": "refunded",
            "charge_id": charge_id,
            "reference": entry.reference,
            "amount_minor": entry.amount_minor,
            "currency": entry.currency,
            "created_at": entry.at,
        })),
        RefundResult::Voided => HttpResponse::Ok().json(json!({ "status": "voided" })),
        RefundResult::KeyReused => key_reused_response(),
    }
}

fn key_reused_response() -> HttpResponse {
    SandboxError::unprocessable("this Idempotency-Key was used for another request; use a new one")
        .error_response()
}

async fn list_ledger_entries(
    _operator: LoopbackPeer,
    state: web::Data<State>,
) -> Result<HttpResponse, SandboxError> {
    let ledger = Arc::clone(&state.ledger);
    let entries = web::block(move || ledger.entries()).await?;
    Ok(HttpResponse::Ok().json(json!({ "entries": entries })))
}

async fn check_health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

async fn get_faults(_operator: LoopbackPeer, state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.faults())
}

async fn replace_faults(
    _operator: LoopbackPeer,
    body: web::Json<Faults>,
    state: web::Data<State>,
) -> Result<HttpResponse, SandboxError> {
    body.validate().map_err(SandboxError::unprocessable)?;
    Ok(state.set_faults(body.into_inner()))
}

async fn clear_faults(_operator: LoopbackPeer, state: web::Data<State>) -> HttpResponse {
    state.set_faults(Faults::default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::net::SocketAddr;

    use actix_web::App;
    use actix_web::http::Method;
    use actix_web::test::{TestRequest, call_service, init_service};

    use super::*;

    #[tokio::test]
    async fn rejects_ledger_and_faults_from_other_machines() {
        let state = web::Data::new(State {
            ledger: Arc::new(SandboxLedger::open(None).unwrap()),
            faults: Mutex::new(Faults::default()),
        });
        let app = init_service(App::new().configure(configure(state))).await;
        let status = async |peer: &str, method: Method, path: &str| {
            let peer: SocketAddr = peer.parse().unwrap();
            let request = TestRequest::with_uri(path)
                .method(method)
                .peer_addr(peer)
                .set_json(json!({}));
            call_service(&app, request.to_request()).await.status()
        };
        let restricted = [
            (Method::GET, "/ledger"),
            (Method::GET, "/faults"),
            (Method::PUT, "/faults"),
            (Method::DELETE, "/faults"),
        ];
        for (method, path) in restricted {
            for peer in ["127.0.0.1:5000", "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
                let found = status(peer, method.clone(), path).await;
                assert_eq!(found, StatusCode::OK, "{method} {path} from {peer}");
            }
            for peer in ["192.0.2.1:5000", "[2001:db8::1]:5000"] {
                let found = status(peer, method.clone(), path).await;
                assert_eq!(found, StatusCode::FORBIDDEN, "{method} {path} from {peer}");
            }
        }
        let health = status("192.0.2.1:5000", Method::GET, "/health").await;
        assert_eq!(health, StatusCode::OK);
    }
}
