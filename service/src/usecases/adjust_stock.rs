//! An admin counts: stock came in, or went missing.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::database_retry::write_with_retry;
use super::{Services, UseCaseError};
use crate::domain::ids::ProductId;
use crate::domain::product::{Product, StockDelta};
use crate::storage::products;

/// Adds `delta` to the stock of a product, in one statement: no two adjustments
/// and no order can get in between.
///
/// # Errors
/// Returns `NotFound` if the product does not exist, `InsufficientStock` if the stock would fall
/// below zero, and `StockTooLarge` if it would exceed [`Stock::MAX`](crate::domain::product::Stock::MAX).
pub(crate) async fn adjust_stock(
    services: &Services,
    id: ProductId,
    delta: StockDelta,
) -> Result<Product, UseCaseError> {
    let mut invalidation = services.products.invalidation_guard();
    invalidation.add([id]);
    let adjusted = write_with_retry(services, async |conn| {
        Ok(products::adjust_stock(conn, id, delta, current_time()).await?)
    })
    .await;
    finish(invalidation, adjusted)?.ok_or(UseCaseError::NotFound("product"))
}
