//! Somebody looks at what is for sale.

use super::{Services, UseCaseError};
use crate::domain::ids::ProductId;
use crate::domain::page::{Page, PageRequest};
use crate::domain::product::Product;
use crate::storage::products;

/// A page of products, oldest first, with `part` somewhere in the name.
///
/// # Errors
/// `Unavailable`.
pub async fn list(
    services: &Services,
    part: Option<&str>,
    page: PageRequest,
) -> Result<Page<Product>, UseCaseError> {
    let mut conn = services.database.connection().await?;
    Ok(products::list(&mut conn, part, page).await?)
}

/// One product.
///
/// # Errors
/// `NotFound`.
pub async fn get(services: &Services, id: ProductId) -> Result<Product, UseCaseError> {
    let mut conn = services.database.connection().await?;
    products::find(&mut conn, id)
        .await?
        .ok_or(UseCaseError::NotFound("product"))
}
