//! A user views their own profile.

use super::database_retry::read_with_retry;
use super::{Services, UseCaseError};
use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::storage::{Connection, users};

/// The user's own profile.
///
/// # Errors
/// Returns `NotFound` if the user is gone since the token was made.
pub(crate) async fn view_profile(services: &Services, id: UserId) -> Result<User, UseCaseError> {
    let query = |mut conn: Connection| async move { users::find(&mut conn, id).await };
    read_with_retry(&services.database, &services.database_retry, query)
        .await?
        .ok_or(UseCaseError::NotFound("user"))
}
