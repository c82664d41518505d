//! Somebody registers.

use super::clock::current_time;
use super::database_retry::write_with_retry;
use super::{Services, UseCaseError};
use crate::domain::ids::UserId;
use crate::domain::password::Password;
use crate::domain::user::{EmailAddress, PersonName, Role, User};
use crate::storage::users::{self, NewUser};

/// What a new user gives.
pub struct Registration {
    /// Must not be taken, whatever its case.
    pub email: EmailAddress,
    /// Is hashed here and forgotten.
    pub password: Password,
    /// What to call them.
    pub name: PersonName,
}

/// Registers a user with `role`. The password is hashed before a connection is
/// taken: hashing is the slow part, and a connection must not wait for it.
///
/// # Errors
/// Returns `EmailTaken` if another user has the address, `Overloaded` if too many passwords are
/// being hashed or no connection is free in time, and `Unavailable` if the database can't be
/// reached.
pub async fn register_user(
    services: &Services,
    registration: Registration,
    role: Role,
) -> Result<User, UseCaseError> {
    let password_hash = services.passwords.hash(&registration.password).await?;
    let created_at = current_time();
    let id = UserId::new(created_at);
    let new_user = NewUser {
        id,
        email: &registration.email,
        name: &registration.name,
        role,
        password_hash: &password_hash,
        created_at,
    };
    write_with_retry(services, async |conn| {
        Ok(users::insert(conn, &new_user).await?)
    })
    .await?;
    services.metrics.registrations.inc();
    Ok(User {
        id,
        email: registration.email.as_str().to_owned(),
        name: registration.name.as_str().to_owned(),
        role,
        created_at,
    })
}
