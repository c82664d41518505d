//! A user changes their own name.

use super::clock::current_time;
use super::database_retry::write_with_retry;
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
    write_with_retry(services, async |conn| {
        Ok(users::rename(conn, id, name, current_time()).await?)
    })
    .await?
    .ok_or(UseCaseError::NotFound("user"))
}
