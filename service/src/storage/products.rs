//! The table `products`: what there is to buy, and how much of it. For locking
//! several rows see [`super::stock`].

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::{Constraint, StorageError};
use super::rows::{NewProductRow, ProductChangeRow, ProductRow};
use super::schema::products;
use super::statement::{cacheable, statement};
use crate::domain::ids::ProductId;
use crate::domain::page::{Page, PageRequest};
use crate::domain::product::{NewProduct, Product, ProductChange, Stock, StockDelta};
use crate::domain::text::search_key;

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
        let pattern = contains_pattern(&search_key(part));
        query = query.filter(sql::<Text>(SEARCH_TEXT).like(pattern));
    }
    if let Some(after) = page.after {
        query = query.filter(products::id.gt(after.0));
    }
    let rows = cacheable(query).load(conn).await?;
    Page::from_overfetched(rows, page.limit, |row| row.id).try_map(Product::try_from)
}

/// The text in which a search looks: the key of the name, unless the version before has written the row or the name, or
/// [`fill_search_keys`] has not come to it. The index `products_search_text` is on this expression.
const SEARCH_TEXT: &str = "(CASE WHEN products.search_key_source = products.name \
     THEN products.search_key ELSE lower(products.name) END)";

/// Products whose search key is missing or belongs to an earlier name, at most so many.
pub(crate) async fn find_without_search_key(
    conn: &mut AsyncPgConnection,
    limit: i64,
) -> Result<Vec<(ProductId, String)>, StorageError> {
    let rows: Vec<(Uuid, String)> = products::table
        .select((products::id, products::name))
        .filter(products::search_key_source.is_distinct_from(products::name.nullable()))
        .limit(limit)
        .load(conn)
        .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|(id, name)| (ProductId(id), name)).collect())
}

statement! {
    /// Rows that are locked or were renamed since are left for the next time: an order never waits for this statement,
    /// and this one never waits for an order.
    FillSearchKeys<'a> { ids: Vec<Uuid>, names: &'a [&'a str], keys: &'a [String] } returns ();
    "WITH filled AS (SELECT * FROM unnest(" { ids: Array<diesel::sql_types::Uuid> } ", " { names: Array<Text> } ", "
    { keys: Array<Text> } ") AS filled (id, name, key)), \
     locked AS (SELECT products.id FROM products JOIN filled ON filled.id = products.id \
     AND filled.name = products.name ORDER BY products.id FOR NO KEY UPDATE OF products SKIP LOCKED) \
     UPDATE products SET search_key = filled.key, search_key_source = filled.name \
     FROM filled JOIN locked ON locked.id = filled.id WHERE products.id = filled.id"
}

/// Stores the search keys of products, and returns how many were stored. Clients see no change: the version stays.
pub(crate) async fn fill_search_keys(
    conn: &mut AsyncPgConnection,
    products: &[(ProductId, String)],
) -> Result<usize, StorageError> {
    let keys: Vec<String> = products.iter().map(|(_, name)| search_key(name)).collect();
    let names: Vec<&str> = products.iter().map(|(_, name)| name.as_str()).collect();
    let statement = FillSearchKeys {
        ids: products.iter().map(|(id, _)| id.0).collect(),
        names: &names,
        keys: &keys,
    };
    Ok(statement.execute(conn).await?)
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
