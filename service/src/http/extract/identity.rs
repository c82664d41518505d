//! Who is asking.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use crate::domain::ids::UserId;
use crate::domain::user::Role;
use crate::http::problem::{Problem, ProblemKind};
use crate::secrets::tokens::Identity;
use crate::usecases::{Services, current_time};

/// A user with a valid access token (RFC 6750, section 2.1). Without: 401.
pub(crate) struct User(pub(crate) UserId);

/// The same, with the role `admin`. Any other role: 403.
pub(crate) struct Admin;

impl FromRequest for User {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identity(request).map(|identity| Self(identity.user_id)))
    }
}

impl FromRequest for Admin {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identity(request).and_then(|identity| match identity.role {
            Role::Admin => Ok(Self),
            Role::Customer => Err(Problem::new(ProblemKind::Forbidden, "this is for admins")),
        }))
    }
}

/// Who a request speaks for. A signature is checked once for each request: the
/// answer stays with it.
///
/// # Errors
/// `unauthenticated`.
pub(crate) fn identity(request: &HttpRequest) -> Result<Identity, Problem> {
    let known = request.extensions().get::<Checked>().cloned();
    if let Some(Checked(outcome)) = known {
        return outcome;
    }
    let outcome = check(request);
    request.extensions_mut().insert(Checked(outcome.clone()));
    outcome
}

#[derive(Clone)]
struct Checked(Result<Identity, Problem>);

fn check(request: &HttpRequest) -> Result<Identity, Problem> {
    let refuse = |detail| Problem::new(ProblemKind::Unauthenticated, detail);
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| refuse("send the header authorization: Bearer <access_token>"))?;
    let token = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| refuse("the authorization header must be Bearer <access_token>"))?;
    request
        .app_data::<web::Data<Services>>()
        .and_then(|services| services.tokens.verify(token, current_time()))
        .ok_or_else(|| {
            // RFC 6750, section 3.1: said of a token that came, and never where none did.
            refuse("the access token is not valid, or no longer: log in again").with_header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer error="invalid_token""#),
            )
        })
}
