//! Somebody looks at what is for sale.
//!
//! Through the cache ([`crate::cache`]), except for searches and later pages. So a
//! product can still be looked at while the database is away.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::database_retry::read_with_retry;
use super::{Services, UseCaseError};
use crate::cache::FIRST_ROWS;
use crate::domain::ids::ProductId;
use crate::domain::page::{Page, PageRequest};
use crate::domain::product::Product;
use crate::storage::error::StorageError;
use crate::storage::{Connection, products};

/// A value that may come from the cache.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    pub(crate) value: T,
    /// Age of a stale entry that is served because the database is unavailable.
    pub(crate) stale_age: Option<Duration>,
}

/// A page of products, oldest first, with `search` somewhere in the name.
pub(crate) async fn list(
    services: &Services,
    search: Option<&str>,
    page: PageRequest,
) -> Result<Cached<Page<Product>>, UseCaseError> {
    if search.is_none() && page.after.is_none() {
        return first_page(services, page.limit).await;
    }
    let query = |mut conn: Connection| async move { products::list(&mut conn, search, page).await };
    let value = read_with_retry(&services.database, &services.database_retry, query).await?;
    Ok(Cached {
        value,
        stale_age: None,
    })
}

async fn first_page(services: &Services, limit: u8) -> Result<Cached<Page<Product>>, UseCaseError> {
    let load = load(services, |mut conn: Connection| async move {
        products::list_first(&mut conn, FIRST_ROWS).await.map(Some)
    });
    let cached = services.products.first_rows(load).await?;
    let rows = cached.value.iter().flat_map(|rows| rows.iter());
    let rows = rows.take(usize::from(limit) + 1).cloned().collect();
    Ok(Cached {
        value: Page::from_overfetched(rows, limit, |product: &Product| product.id.0),
        stale_age: cached.stale_age,
    })
}

/// One product.
///
/// # Errors
/// Returns `NotFound` if the product does not exist.
pub(crate) async fn get(
    services: &Services,
    id: ProductId,
) -> Result<Cached<Product>, UseCaseError> {
    let load = load(services, move |mut conn: Connection| async move {
        products::find(&mut conn, id).await
    });
    let cached = services.products.get(id, load).await?;
    let product = cached.value.ok_or(UseCaseError::NotFound("product"))?;
    Ok(Cached {
        value: Product::clone(&product),
        stale_age: cached.stale_age,
    })
}

/// Returns the loader of a cache entry: `query` on a connection of its own, retried as reads are.
fn load<T, F>(
    services: &Services,
    query: impl Fn(Connection) -> F + Clone + Send + Sync + 'static,
) -> impl Fn() -> BoxFuture<'static, Result<T, StorageError>> + Clone + Send + 'static
where
    T: Send + 'static,
    F: Future<Output = Result<T, StorageError>> + Send + 'static,
{
    let (database, retry) = (services.database.clone(), services.database_retry.clone());
    move || {
        let (database, retry, query) = (database.clone(), retry.clone(), query.clone());
        async move { read_with_retry(&database, &retry, query).await }.boxed()
    }
}
