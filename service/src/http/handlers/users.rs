//! `/v1/users`

use actix_web::{HttpResponse, web};

use crate::domain::user::Role;
use crate::http::extract::{AuthenticatedUser, JsonBody};
use crate::http::problem::Problem;
use crate::http::wire::users::{ProfileChangeRequest, RegisterRequest, UserResponse};
use crate::usecases::rename_user::rename_user;
use crate::usecases::view_profile::view_profile;
use crate::usecases::{Services, register_user};

/// Register.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    post, path = "/v1/users", tag = "users",
    request_body = RegisterRequest,
    responses(
        (status = 201, description = "Registered", body = UserResponse),
        (status = 409, description = "The address is taken"),
    )
)]
pub(crate) async fn register(
    services: web::Data<Services>,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> Result<HttpResponse, Problem> {
    let registration = request.check()?;
    let user = register_user::register_user(&services, registration, Role::Customer).await?;
    Ok(HttpResponse::Created().json(UserResponse::from(user)))
}

/// The own profile.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    get, path = "/v1/users/me", tag = "users", security(("bearer" = [])),
    responses((status = 200, description = "You", body = UserResponse))
)]
pub(crate) async fn view_me(
    services: web::Data<Services>,
    AuthenticatedUser(id): AuthenticatedUser,
) -> Result<HttpResponse, Problem> {
    let user = view_profile(&services, id).await?;
    Ok(HttpResponse::Ok().json(UserResponse::from(user)))
}

/// Change the own profile.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    patch, path = "/v1/users/me", tag = "users", security(("bearer" = [])),
    request_body = ProfileChangeRequest,
    responses((status = 200, description = "You, as changed", body = UserResponse))
)]
pub(crate) async fn change_me(
    services: web::Data<Services>,
    AuthenticatedUser(id): AuthenticatedUser,
    JsonBody(request): JsonBody<ProfileChangeRequest>,
) -> Result<HttpResponse, Problem> {
    let user = match request.check()? {
        Some(name) => rename_user(&services, id, &name).await?,
        None => view_profile(&services, id).await?,
    };
    Ok(HttpResponse::Ok().json(UserResponse::from(user)))
}
