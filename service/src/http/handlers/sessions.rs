//! `/v1/sessions`

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use crate::http::extract::JsonBody;
use crate::http::problem::Problem;
use crate::http::wire::users::{LogInRequest, SessionResponse};
use crate::limits::{Client, RateLimits, RequestClass};
use crate::usecases::{Services, log_in};

/// Log in.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "users",
    request_body = LogInRequest,
    responses(
        (status = 201, description = "Logged in, for the seconds of expires_in: 15 minutes by default (auth.token_lifetime)", body = SessionResponse),
        (status = 401, description = "Unknown address or wrong password"),
        (status = 429, description = "Too many tries, from here or for this account"),
    )
)]
pub(crate) async fn log_in(
    services: web::Data<Services>,
    limits: web::Data<RateLimits>,
    JsonBody(request): JsonBody<LogInRequest>,
) -> Result<HttpResponse, Problem> {
    // Before anything is looked up or hashed, and for accounts that do not exist too.
    let account = Client::account(&request.email);
    limits.check(RequestClass::LoginAccount, &account).await?;
    let token = log_in::log_in(&services, request.email, request.password).await?;
    Ok(HttpResponse::Created()
        // RFC 6749, section 5.1: a token must not stay in a cache.
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(SessionResponse {
            access_token: token.token,
            token_type: "Bearer",
            expires_in: token.lifetime.as_secs(),
        }))
}
