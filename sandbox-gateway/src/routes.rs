//! Routes and handlers.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde_json::json;
use tokio::sync::watch;

use crate::error::GatewayError;
use crate::extractors::{IdempotencyKey, LoopbackPeer};
use crate::faults::Faults;
use crate::ledger::{ChargeResult, Ledger, RefundResult};
use crate::requests::{ChargeRequest, RefundRequest};

/// Longest request body; a valid one has a few hundred bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// State that the handlers share.
#[derive(Debug)]
pub(crate) struct State {
    ledger: Arc<Ledger>,
    faults: watch::Sender<Faults>,
}

impl State {
    /// Without faults.
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            ledger,
            faults: watch::Sender::new(Faults::default()),
        }
    }

    fn faults(&self) -> Faults {
        *self.faults.borrow()
    }

    fn set_faults(&self, faults: Faults) -> HttpResponse {
        self.faults.send_replace(faults);
        HttpResponse::Ok().json(faults)
    }
}

/// Registers the routes.
pub(crate) fn configure(state: web::Data<State>) -> impl FnOnce(&mut web::ServiceConfig) {
    let json = web::JsonConfig::default()
        .limit(MAX_BODY_BYTES)
        .error_handler(|error, _| GatewayError::from(error).into());
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
    key: IdempotencyKey,
    body: web::Json<ChargeRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, GatewayError> {
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
    key: IdempotencyKey,
    body: web::Json<RefundRequest>,
    state: web::Data<State>,
) -> Result<HttpResponse, GatewayError> {
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
    GatewayError::unprocessable("this Idempotency-Key was used for another request; use a new one")
        .error_response()
}

async fn list_ledger_entries(
    _operator: LoopbackPeer,
    state: web::Data<State>,
) -> Result<HttpResponse, GatewayError> {
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
) -> Result<HttpResponse, GatewayError> {
    body.validate().map_err(GatewayError::unprocessable)?;
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
        let state = web::Data::new(State::new(Arc::new(Ledger::open(None).unwrap())));
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
