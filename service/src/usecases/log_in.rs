//! Somebody logs in.

use secrecy::SecretString;

use super::clock::current_time;
use super::database_retry::read_with_retry;
use super::{Services, UseCaseError};
use crate::domain::user::EmailAddress;
use crate::secrets::tokens::{Identity, IssuedToken};
use crate::storage::{Connection, users};

/// Checks the password of `email` and signs an access token.
///
/// An unknown address, an impossible one and a wrong password cost the same hash
/// and get the same answer.
///
/// # Errors
/// Returns `InvalidCredentials` if the address is unknown or the password wrong, and `Overloaded`
/// if too many passwords are being hashed.
pub(crate) async fn log_in(
    services: &Services,
    email: String,
    password: SecretString,
) -> Result<IssuedToken, UseCaseError> {
    let result = authenticate(services, email, password).await;
    let outcome = match result {
        Ok(_) => "success",
        Err(UseCaseError::InvalidCredentials) => "invalid_credentials",
        Err(_) => "error",
    };
    services.metrics.logins.with_label_values(&[outcome]).inc();
    result
}

async fn authenticate(
    services: &Services,
    email: String,
    password: SecretString,
) -> Result<IssuedToken, UseCaseError> {
    let found = match EmailAddress::parse(email) {
        Ok(email) => {
            let query = |mut conn: Connection| {
                let email = &email;
                async move { users::find_with_password_hash(&mut conn, email).await }
            };
            read_with_retry(&services.database, &services.database_retry, query).await?
        }
        Err(_) => None,
    };
    let (user, stored_hash) = found.unzip();
    let matches = services.passwords.verify(&password, stored_hash).await?;
    let user = user
        .filter(|_| matches)
        .ok_or(UseCaseError::InvalidCredentials)?;
    let identity = Identity {
        user_id: user.id,
        role: user.role,
    };
    services
        .tokens
        .issue(identity, current_time())
        .map_err(UseCaseError::Internal)
}
