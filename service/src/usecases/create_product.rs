//! An admin enters a product.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::database_retry::write_with_retry;
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
    let mut invalidation = services.products.invalidation_guard();
    invalidation.add([id]);
    let inserted = write_with_retry(services, async |conn| {
        Ok(products::insert(conn, id, new_product, now).await?)
    })
    .await;
    finish(invalidation, inserted)
}
