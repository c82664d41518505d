//! An admin enters a product.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::{Services, UseCaseError};
use crate::domain::ids::ProductId;
use crate::domain::money::Money;
use crate::domain::product::{Product, ProductName, Sku, Stock};
use crate::storage::products::{self, NewProduct};

/// Enters a product with its first stock.
///
/// # Errors
/// Returns `SkuTaken` if another product has this SKU.
pub(crate) async fn create_product(
    services: &Services,
    sku: &Sku,
    name: &ProductName,
    price: Money,
    stock: Stock,
) -> Result<Product, UseCaseError> {
    let created_at = current_time();
    let new_product = NewProduct {
        id: ProductId::new(created_at),
        sku,
        name,
        price,
        stock,
        created_at,
    };
    let mut conn = services.database.connection().await?;
    let mut invalidation = services.products.invalidation_guard();
    invalidation.add([new_product.id]);
    let inserted = products::insert(&mut conn, &new_product).await;
    finish(invalidation, inserted.map_err(UseCaseError::from))
}
