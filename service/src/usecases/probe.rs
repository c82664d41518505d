//! Somebody asks whether the service could do its work.

use super::{Services, UseCaseError};
use crate::storage::database;

/// Asks the database for nothing, the way every request asks it for something.
///
/// # Errors
/// `Unavailable`, `Overloaded`.
pub async fn database_answers(services: &Services) -> Result<(), UseCaseError> {
    let mut conn = services.database.connection().await?;
    Ok(database::ping(&mut conn).await?)
}
