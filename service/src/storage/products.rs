//! The table `products`: what there is to buy, and how much of it. For locking
//! several rows see [`super::stock`].

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Constraint, StorageError};
use super::rows::{NewProductRow, ProductChangeRow, ProductRow};
use super::schema::products;
use super::statement::cacheable;
use crate::domain::ids::ProductId;
use crate::domain::page::{Page, PageRequest};
use crate::domain::product::{NewProduct, Product, ProductChange, Stock, StockDelta};

/// Inserts a product.
///
/// # Errors
/// Returns `ConstraintViolated(SkuUnique)` if the SKU is taken.
pub(crate) async fn insert(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    product: &NewProduct,
    now: DateTime<Utc>,
) -> Result<Product, StorageError> {
    diesel::insert_into(products::table)
        .values(NewProductRow::new(id, product, now))
        .returning(ProductRow::as_returning())
        .get_result(conn)
        .await?
        .try_into()
}

/// Those of `skus` that a product has.
pub(crate) async fn find_existing_skus(
    conn: &mut AsyncPgConnection,
    skus: &[&str],
) -> Result<HashSet<String>, StorageError> {
    let existing: Vec<String> = products::table
        .select(products::sku)
        .filter(products::sku.eq_any(skus))
        .load(conn)
        .await?;
    Ok(existing.into_iter().collect())
}

/// The product of that id.
pub(crate) async fn find(
    conn: &mut AsyncPgConnection,
    id: ProductId,
) -> Result<Option<Product>, StorageError> {
    let row = products::table
        .find(id.0)
        .select(ProductRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Product::try_from).transpose()
}

/// The product of that id, its row locked until the transaction ends.
///
/// # Errors
/// Returns [`StorageError::LockTimeout`] if another transaction keeps it locked.
pub(crate) async fn lock(
    conn: &mut AsyncPgConnection,
    id: ProductId,
) -> Result<Option<Product>, StorageError> {
    let row = products::table
        .find(id.0)
        .for_no_key_update()
        .select(ProductRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Product::try_from).transpose()
}

/// The first products, oldest first, at most so many.
pub(crate) async fn list_first(
    conn: &mut AsyncPgConnection,
    limit: usize,
) -> Result<Vec<Product>, StorageError> {
    let rows: Vec<ProductRow> = products::table
        .select(ProductRow::as_select())
        .order(products::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(conn)
        .await?;
    rows.into_iter().map(Product::try_from).collect()
}

/// A page of products, oldest first, with `name_part` somewhere in the name.
pub(crate) async fn list(
    conn: &mut AsyncPgConnection,
    name_part: Option<&str>,
    page: PageRequest,
) -> Result<Page<Product>, StorageError> {
    let mut query = products::table
        .select(ProductRow::as_select())
        .order(products::id)
        .limit(i64::from(page.limit) + 1)
        .into_boxed();
    if let Some(part) = name_part {
        query = query.filter(products::name.ilike(contains_pattern(part)));
    }
    if let Some(after) = page.after {
        query = query.filter(products::id.gt(after.0));
    }
    let rows = query.load(conn).await?;
    Page::from_overfetched(rows, page.limit, |row| row.id).try_map(Product::try_from)
}

/// The LIKE pattern for "has this text somewhere", with LIKE's own signs escaped.
fn contains_pattern(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Changes a product whose row is locked.
pub(crate) async fn update(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    change: &ProductChange,
    now: DateTime<Utc>,
) -> Result<Product, StorageError> {
    let update = diesel::update(products::table.find(id.0))
        .set((
            ProductChangeRow::from(change),
            products::version.eq(products::version + 1),
            products::updated_at.eq(now),
        ))
        .returning(ProductRow::as_returning());
    cacheable(update).get_result(conn).await?.try_into()
}

/// Adds to the stock of a product, up to [`Stock::MAX`], or takes from it, and
/// returns the product if there is one.
///
/// # Errors
/// Returns `ConstraintViolated(StockNotNegative)` if the stock would fall below zero, and
/// `ConstraintViolated(StockBounded)` if it would exceed [`Stock::MAX`].
pub(crate) async fn adjust_stock(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    delta: StockDelta,
    now: DateTime<Utc>,
) -> Result<Option<Product>, StorageError> {
    // What there may be at most before it is added to; also keeps the sum in range.
    let max_before = match delta.get() {
        added if added > 0 => Stock::MAX - i64::from(added),
        _ => i64::from(i32::MAX),
    };
    let update = diesel::update(products::table.find(id.0))
        .filter(products::stock.le(i32::try_from(max_before).unwrap_or(i32::MAX)))
        .set((
            products::stock.eq(products::stock + delta.get()),
            products::stock_received.eq(products::stock_received + i64::from(delta.get())),
            products::version.eq(products::version + 1),
            products::updated_at.eq(now),
        ))
        .returning(ProductRow::as_returning());
    let row = cacheable(update).get_result(conn).await.optional()?;
    if row.is_none() && delta.get() > 0 && find(conn, id).await?.is_some() {
        return Err(StorageError::ConstraintViolated(Constraint::StockBounded));
    }
    row.map(Product::try_from).transpose()
}

#[cfg(test)]
mod tests {
    use super::contains_pattern;

    #[test]
    fn escapes_like_wildcards() {
        assert_eq!(contains_pattern("50%_\\x"), "%50\\%\\_\\\\x%");
    }
}
