//! The table `products`, and the row locks that keep stock right.
//!
//! Two orders that name the same two products must not wait for each other in a
//! circle. So whoever locks several products locks them in the order of their
//! ids, here and nowhere else. Run it: `opposite_orders_never_deadlock` in
//! `tests/api/races.rs`.
//!
//! The lock is `FOR NO KEY UPDATE`: it keeps other writers out, but not the
//! foreign key checks of order lines that are being inserted elsewhere
//! (PostgreSQL manual, 13.3.2).

use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Array, Int4, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::{Constraint, StorageError};
use super::idempotency::Claim;
use super::rows::ProductRow;
use super::schema::{idempotency_keys, products};
use super::statement::statement;
use crate::domain::ids::ProductId;
use crate::domain::money::Money;
use crate::domain::order::OrderLine;
use crate::domain::page::{Page, PageRequest};
use crate::domain::product::{Product, ProductName, Sku, Stock, StockDelta};

/// A product to insert.
pub struct NewProduct<'a> {
    /// Names the product.
    pub id: ProductId,
    /// Unique.
    pub sku: &'a Sku,
    /// What it is called.
    pub name: &'a ProductName,
    /// What one piece costs.
    pub price: Money,
    /// How many pieces there are.
    pub stock: Stock,
    /// When it was entered.
    pub created_at: DateTime<Utc>,
}

/// What to change of a product; `None` leaves it as it is.
#[derive(AsChangeset)]
#[diesel(table_name = products)]
struct ProductChanges<'a> {
    name: Option<&'a str>,
    price_minor: Option<i64>,
    currency: Option<&'a str>,
}

/// Inserts a product.
///
/// # Errors
/// `Violated(SkuUnique)` if the SKU is taken.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    product: &NewProduct<'_>,
) -> Result<Product, StorageError> {
    diesel::insert_into(products::table)
        .values((
            products::id.eq(product.id.0),
            products::sku.eq(product.sku.as_str()),
            products::name.eq(product.name.as_str()),
            products::price_minor.eq(product.price.minor()),
            products::currency.eq(product.price.currency().code()),
            products::stock.eq(product.stock.get()),
            products::stock_received.eq(i64::from(product.stock.get())),
            products::created_at.eq(product.created_at),
            products::updated_at.eq(product.created_at),
        ))
        .returning(ProductRow::as_returning())
        .get_result(conn)
        .await?
        .try_into()
}

/// How many products there are.
///
/// # Errors
/// [`StorageError`].
pub async fn count(conn: &mut AsyncPgConnection) -> Result<usize, StorageError> {
    let rows: i64 = products::table.count().get_result(conn).await?;
    Ok(usize::try_from(rows).unwrap_or_default())
}

/// The product of that id.
///
/// # Errors
/// [`StorageError`].
pub async fn find(
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

/// The first products, oldest first, at most so many.
///
/// # Errors
/// [`StorageError`].
pub async fn first(
    conn: &mut AsyncPgConnection,
    rows: usize,
) -> Result<Vec<Product>, StorageError> {
    let rows: Vec<ProductRow> = products::table
        .select(ProductRow::as_select())
        .order(products::id)
        .limit(i64::try_from(rows).unwrap_or(i64::MAX))
        .load(conn)
        .await?;
    rows.into_iter().map(Product::try_from).collect()
}

/// A page of products, oldest first, with `part` somewhere in the name.
///
/// # Errors
/// [`StorageError`].
pub async fn list(
    conn: &mut AsyncPgConnection,
    part: Option<&str>,
    page: PageRequest,
) -> Result<Page<Product>, StorageError> {
    let mut query = products::table
        .select(ProductRow::as_select())
        .order(products::id)
        .limit(i64::from(page.limit) + 1)
        .into_boxed();
    if let Some(part) = part {
        query = query.filter(products::name.ilike(contains(part)));
    }
    if let Some(after) = page.after {
        query = query.filter(products::id.gt(after.0));
    }
    let rows = query.load(conn).await?;
    Page::from_one_more(rows, page.limit, |row| row.id).try_map(Product::try_from)
}

/// The LIKE pattern for "has this text somewhere", with LIKE's own signs escaped.
fn contains(part: &str) -> String {
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

/// Locks these products in the order of their ids, until the transaction ends,
/// and returns those that exist as they stand now.
///
/// # Errors
/// [`StorageError::LockTimeout`] if one stays locked by somebody else.
pub async fn lock(
    conn: &mut AsyncPgConnection,
    ids: &[ProductId],
) -> Result<Vec<Product>, StorageError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = products::table
        .filter(products::id.eq_any(ids))
        .order(products::id)
        .for_no_key_update()
        .select(ProductRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Product::try_from).collect()
}

/// The same for an order, sent together with the claim of its idempotency key. If the key was used
/// before there is nothing to order: then nothing is locked, and nothing waited for.
///
/// # Errors
/// [`StorageError::LockTimeout`] if one stays locked by somebody else.
pub async fn lock_if_claimed(
    mut conn: &AsyncPgConnection,
    ids: &[ProductId],
    claim: &Claim<'_>,
) -> Result<Vec<Product>, StorageError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let claimed = idempotency_keys::table
        .filter(idempotency_keys::user_id.eq(claim.user_id.0))
        .filter(idempotency_keys::key.eq(claim.key.as_str()))
        .filter(idempotency_keys::resource_id.is_null())
        .select(idempotency_keys::user_id);
    let rows = products::table
        .filter(products::id.eq_any(ids))
        .filter(exists(claimed))
        .order(products::id)
        .for_no_key_update()
        .select(ProductRow::as_select())
        .load(&mut conn)
        .await?;
    rows.into_iter().map(Product::try_from).collect()
}

/// Changes the name or the price of a product whose row is locked.
///
/// # Errors
/// [`StorageError`].
pub async fn change(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    name: Option<&ProductName>,
    price: Option<Money>,
    now: DateTime<Utc>,
) -> Result<Product, StorageError> {
    let changes = ProductChanges {
        name: name.map(ProductName::as_str),
        price_minor: price.map(Money::minor),
        currency: price.map(|price| price.currency().code()),
    };
    diesel::update(products::table.find(id.0))
        .set((
            changes,
            products::version.eq(products::version + 1),
            products::updated_at.eq(now),
        ))
        .returning(ProductRow::as_returning())
        .get_result(conn)
        .await?
        .try_into()
}

/// Adds to the stock of a product, up to [`Stock::MAX`], or takes from it, and
/// returns the product if there is one.
///
/// # Errors
/// `Violated(StockNotNegative)` or `Violated(StockBounded)`.
pub async fn adjust_stock(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    delta: StockDelta,
    now: DateTime<Utc>,
) -> Result<Option<Product>, StorageError> {
    // What there may be at most before it is added to; also keeps the sum in range.
    let most = match delta.get() {
        added if added > 0 => Stock::MAX - i64::from(added),
        _ => i64::from(i32::MAX),
    };
    let row = diesel::update(products::table.find(id.0))
        .filter(products::stock.le(i32::try_from(most).unwrap_or(i32::MAX)))
        .set((
            products::stock.eq(products::stock + delta.get()),
            products::stock_received.eq(products::stock_received + i64::from(delta.get())),
            products::version.eq(products::version + 1),
            products::updated_at.eq(now),
        ))
        .returning(ProductRow::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    if row.is_none() && delta.get() > 0 && find(conn, id).await?.is_some() {
        return Err(StorageError::Violated(Constraint::StockBounded));
    }
    row.map(Product::try_from).transpose()
}

statement! {
    /// Puts the stock of order lines back, with the rows locked in id order first.
    PutBack { product_ids: Vec<Uuid>, quantities: Vec<i32>, now: DateTime<Utc> } returns ();
    "WITH line AS (SELECT * FROM unnest(" {product_ids: Array<SqlUuid>} "," {quantities: Array<Int4>} ") \
     AS line (product_id, quantity)), \
     locked AS (SELECT id FROM products WHERE id IN (SELECT product_id FROM line) \
     ORDER BY id FOR NO KEY UPDATE) \
     UPDATE products SET stock = products.stock + line.quantity, version = products.version + 1, \
     updated_at = " {now: Timestamptz} " \
     FROM line JOIN locked ON locked.id = line.product_id WHERE products.id = line.product_id"
}

/// Puts the stock of these lines back on the shelf.
///
/// # Errors
/// [`StorageError`].
pub async fn put_back(
    conn: &mut AsyncPgConnection,
    lines: &[OrderLine],
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    PutBack {
        product_ids: lines.iter().map(|line| line.product_id.0).collect(),
        quantities: lines
            .iter()
            .map(|line| line.quantity.get().into())
            .collect(),
        now,
        lifetime: std::marker::PhantomData,
    }
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn signs_of_like_are_taken_literally() {
        assert_eq!(contains("50%_\\x"), "%50\\%\\_\\\\x%");
    }
}
