//! An admin enters a product.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::{Services, UseCaseError};
use crate::domain::ids::ProductId;
use crate::domain::product::{NewProduct, Product};
use crate::storage::products;

/// Enters a product with its first stock.
///
/// # Errors
/// Returns `SkuTaken` if another product has this SKU.
pub(crate) async fn create_product(
    services: &Services,
    new_product: &NewProduct,
) -> Result<Product, UseCaseError> {
    let now = current_time();
    let id = ProductId::new(now);
    let mut conn = services.database.connection().await?;
    let mut invalidation = services.products.invalidation_guard();
    invalidation.add([id]);
    let inserted = products::insert(&mut conn, id, new_product, now).await;
    finish(invalidation, inserted.map_err(UseCaseError::from))
}
