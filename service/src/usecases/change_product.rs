//! An admin changes a product, if it still is as they saw it.
//!
//! Two admins who change the same product must not silently undo each other
//! (the "lost update"). Each says which version they saw; the row is locked,
//! compared, and only then changed.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::database_retry::write_with_retry;
use super::{Services, UseCaseError};
use crate::domain::ids::ProductId;
use crate::domain::product::{Product, ProductChange};
use crate::storage::{AsyncConnection as _, products};

/// Changes a product if `version_matches` accepts its version.
///
/// # Errors
/// Returns `NotFound` if the product does not exist, and `PreconditionFailed` if `version_matches`
/// returns `false`.
pub(crate) async fn change_product(
    services: &Services,
    id: ProductId,
    version_matches: impl Fn(i64) -> bool + Sync,
    change: &ProductChange,
) -> Result<Product, UseCaseError> {
    let mut invalidation = services.products.invalidation_guard();
    let changed = write_with_retry(services, async |conn| {
        conn.transaction(async |conn| {
            let current = products::lock(conn, id)
                .await?
                .ok_or(UseCaseError::NotFound("product"))?;
            if !version_matches(current.version) {
                return Err(UseCaseError::PreconditionFailed);
            }
            if *change == ProductChange::default() {
                return Ok(current);
            }
            invalidation.add([id]);
            Ok(products::update(conn, id, change, current_time()).await?)
        })
        .await
    })
    .await;
    finish(invalidation, changed)
}
