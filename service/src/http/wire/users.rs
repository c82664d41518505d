//! Users and sessions on the wire.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::password::Password;
use crate::domain::user::{EmailAddress, PersonName, Role, User};
use crate::http::extract::FieldErrors;
use crate::http::problem::Problem;
use crate::usecases::register_user::Registration;

/// What a new user sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterRequest {
    /// Unique without regard to case.
    #[schema(format = "email", max_length = 254, example = "ada@example.com")]
    email: String,
    /// 12 to 128 characters.
    #[schema(value_type = String, format = "password", min_length = 12, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*$", example = "correct horse battery staple")]
    password: SecretString,
    /// What to call you; not blank.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]*$",
        example = "Ada"
    )]
    name: String,
}

impl RegisterRequest {
    /// What the domain makes of it.
    ///
    /// # Errors
    /// Returns a problem that names every invalid field.
    pub(crate) fn check(self) -> Result<Registration, Problem> {
        let mut fields = FieldErrors::default();
        let email = fields.check("/email", EmailAddress::parse(self.email));
        let password = fields.check("/password", Password::parse(self.password));
        let name = fields.check("/name", PersonName::parse(self.name));
        let registration = email.zip(password).zip(name);
        fields.finish(registration.map(|((email, password), name)| Registration {
            email,
            password,
            name,
        }))
    }
}

/// What a user sends to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInRequest {
    /// In any case.
    #[schema(example = "ada@example.com")]
    pub(crate) email: String,
    /// As registered.
    #[schema(value_type = String, format = "password", example = "correct horse battery staple")]
    pub(crate) password: SecretString,
}

/// An access token (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionResponse {
    /// To be sent as `authorization: Bearer <access_token>`.
    pub(crate) access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub(crate) token_type: &'static str,
    /// In seconds from now.
    #[schema(example = 900)]
    pub(crate) expires_in: u64,
}

/// What to change of the own profile; what is missing stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileChangeRequest {
    /// What to call you; not blank.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]*$"
    )]
    name: Option<String>,
}

impl ProfileChangeRequest {
    /// What the domain makes of it.
    ///
    /// # Errors
    /// Returns a problem that names every invalid field.
    pub(crate) fn check(self) -> Result<Option<PersonName>, Problem> {
        let mut fields = FieldErrors::default();
        let name = fields.check_optional("/name", self.name.map(PersonName::parse));
        fields.finish(name)
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserResponse {
    /// Names the user.
    id: Uuid,
    /// As registered.
    email: String,
    /// What to call them.
    name: String,
    /// `customer` or `admin`.
    #[schema(value_type = String, example = "customer")]
    role: Role,
    /// When they registered.
    created_at: DateTime<Utc>,
}

impl From<User> for UserResponse {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            email: user.email,
            name: user.name,
            role: user.role,
            created_at: user.created_at,
        }
    }
}
