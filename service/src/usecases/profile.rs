//! A user looks at their own profile, or changes it.

use super::read::read_with_retry;
use super::{Services, UseCaseError, current_time};
use crate::domain::ids::UserId;
use crate::domain::user::{PersonName, User};
use crate::storage::{Connection, users};

/// The user's own profile.
///
/// # Errors
/// `NotFound` if the user is gone since the token was made.
pub(crate) async fn view(services: &Services, id: UserId) -> Result<User, UseCaseError> {
    let query = |mut conn: Connection| async move { users::find(&mut conn, id).await };
    read_with_retry(&services.database, &services.read_retry, query)
        .await?
        .ok_or(UseCaseError::NotFound("user"))
}

/// Gives the user another name.
///
/// # Errors
/// `NotFound` if the user is gone since the token was made.
pub(crate) async fn rename(
    services: &Services,
    id: UserId,
    name: &PersonName,
) -> Result<User, UseCaseError> {
    let mut conn = services.database.connection().await?;
    users::rename(&mut conn, id, name, current_time())
        .await?
        .ok_or(UseCaseError::NotFound("user"))
}
