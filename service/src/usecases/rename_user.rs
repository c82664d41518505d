//! A user changes their own name.

use super::clock::current_time;
use super::{Services, UseCaseError};
use crate::domain::ids::UserId;
use crate::domain::user::{PersonName, User};
use crate::storage::users;

/// Gives the user another name.
///
/// # Errors
/// Returns `NotFound` if the user is gone since the token was made.
pub(crate) async fn rename_user(
    services: &Services,
    id: UserId,
    name: &PersonName,
) -> Result<User, UseCaseError> {
    let mut conn = services.database.connection().await?;
    users::rename(&mut conn, id, name, current_time())
        .await?
        .ok_or(UseCaseError::NotFound("user"))
}
