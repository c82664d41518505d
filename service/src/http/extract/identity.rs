//! Who is asking.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use crate::domain::ids::UserId;
use crate::domain::user::Role;
use crate::http::problem::{Problem, ProblemKind};
use crate::secrets::tokens::Identity;
use crate::usecases::Services;
use crate::usecases::clock::current_time;

/// A user with a valid access token (RFC 6750, section 2.1). Without: 401.
pub(crate) struct AuthenticatedUser(pub(crate) UserId);

/// The same, with the role `admin`. Any other role: 403.
pub(crate) struct AuthenticatedAdmin;

impl FromRequest for AuthenticatedUser {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(authenticate(request).map(|identity| Self(identity.user_id)))
    }
}

impl FromRequest for AuthenticatedAdmin {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            authenticate(request).and_then(|identity| match identity.role {
                Role::Admin => Ok(Self),
                Role::Customer => Err(Problem::new(ProblemKind::Forbidden, "this is for admins")),
            }),
        )
    }
}

/// Who a request speaks for. A signature is checked once for each request: the
/// answer stays with it.
///
/// # Errors
/// Returns `unauthenticated` if there is no bearer token, or if it is not valid.
pub(crate) fn authenticate(request: &HttpRequest) -> Result<Identity, Problem> {
    let cached = request.extensions().get::<CachedIdentity>().cloned();
    if let Some(CachedIdentity(outcome)) = cached {
        return outcome;
    }
    let outcome = verify_bearer_token(request);
    request
        .extensions_mut()
        .insert(CachedIdentity(outcome.clone()));
    outcome
}

#[derive(Clone)]
struct CachedIdentity(Result<Identity, Problem>);

fn verify_bearer_token(request: &HttpRequest) -> Result<Identity, Problem> {
    let reject = |detail| Problem::new(ProblemKind::Unauthenticated, detail);
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| reject("send the header authorization: Bearer <access_token>"))?;
    let token = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| reject("the authorization header must be Bearer <access_token>"))?;
    request
        .app_data::<web::Data<Services>>()
        .and_then(|services| services.tokens.verify(token, current_time()))
        .ok_or_else(|| {
            // RFC 6750, section 3.1: said of a token that came, and never where none did.
            reject("the access token is not valid, or no longer: log in again").with_header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer error="invalid_token""#),
            )
        })
}
