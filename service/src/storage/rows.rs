//! Rows to and from the domain, in one visible place.
//!
//! A row was checked by the domain before it was written and by a constraint
//! when it was, so a row that can't be read back means that the schema and the
//! code differ: [`StorageError::UnreadableRow`].

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::error::StorageError;
use super::schema;
use crate::domain::basket::Quantity;
use crate::domain::ids::{OrderId, ProductId, UserId};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Order, OrderLine};
use crate::domain::order_status::{FailureReason, OrderStatus};
use crate::domain::product::{AvailableProduct, NewProduct, Product, ProductChange, ProductName};
use crate::domain::user::{Role, User};
use crate::domain::validation::ValidationError;

impl From<ValidationError> for StorageError {
    fn from(invalid: ValidationError) -> Self {
        Self::UnreadableRow(invalid.code.to_string())
    }
}

pub(super) fn money(minor: i64, currency: &str) -> Result<Money, StorageError> {
    Ok(Money::new(minor, Currency::parse(currency)?)?)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = schema::users, check_for_backend(diesel::pg::Pg))]
pub(super) struct UserRow {
    id: Uuid,
    email: String,
    name: String,
    role: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<UserRow> for User {
    type Error = StorageError;

    fn try_from(row: UserRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: UserId(row.id),
            email: row.email,
            name: row.name,
            role: Role::parse(&row.role)
                .ok_or_else(|| StorageError::UnreadableRow("unknown role".to_owned()))?,
            created_at: row.created_at,
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = schema::products, check_for_backend(diesel::pg::Pg))]
pub(super) struct ProductRow {
    pub(super) id: Uuid,
    sku: String,
    name: String,
    price_minor: i64,
    currency: String,
    stock: i32,
    version: i64,
    updated_at: DateTime<Utc>,
}

impl TryFrom<ProductRow> for Product {
    type Error = StorageError;

    fn try_from(row: ProductRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: ProductId(row.id),
            sku: row.sku,
            name: row.name,
            price: money(row.price_minor, &row.currency)?,
            stock: row.stock,
            version: row.version,
            updated_at: row.updated_at,
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = schema::products, check_for_backend(diesel::pg::Pg))]
pub(super) struct AvailableProductRow {
    id: Uuid,
    price_minor: i64,
    currency: String,
    stock: i32,
}

impl TryFrom<AvailableProductRow> for AvailableProduct {
    type Error = StorageError;

    fn try_from(row: AvailableProductRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: ProductId(row.id),
            price: money(row.price_minor, &row.currency)?,
            stock: row.stock,
        })
    }
}

// `None` is NULL: a `DEFAULT` in its place would keep the statement out of the statement cache.
#[derive(Insertable)]
#[diesel(table_name = schema::products, treat_none_as_default_value = false)]
pub(super) struct NewProductRow<'a> {
    id: Uuid,
    sku: &'a str,
    name: &'a str,
    price_minor: i64,
    currency: &'static str,
    stock: i32,
    stock_received: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    search_key: String,
    search_key_source: &'a str,
}

impl<'a> NewProductRow<'a> {
    pub(super) fn new(id: ProductId, product: &'a NewProduct, now: DateTime<Utc>) -> Self {
        Self {
            id: id.0,
            sku: product.sku.as_str(),
            name: product.name.as_str(),
            price_minor: product.price.minor(),
            currency: product.price.currency().code(),
            stock: product.stock.get(),
            stock_received: product.stock.get().into(),
            created_at: now,
            updated_at: now,
            search_key: product.name.search_key(),
            search_key_source: product.name.as_str(),
        }
    }
}

/// `None` leaves the column unchanged.
#[derive(AsChangeset)]
#[diesel(table_name = schema::products)]
pub(super) struct ProductChangeRow<'a> {
    name: Option<&'a str>,
    price_minor: Option<i64>,
    currency: Option<&'static str>,
    search_key: Option<String>,
    search_key_source: Option<&'a str>,
}

impl<'a> From<&'a ProductChange> for ProductChangeRow<'a> {
    fn from(change: &'a ProductChange) -> Self {
        Self {
            name: change.name.as_ref().map(ProductName::as_str),
            price_minor: change.price.map(Money::minor),
            currency: change.price.map(|price| price.currency().code()),
            search_key: change.name.as_ref().map(ProductName::search_key),
            search_key_source: change.name.as_ref().map(ProductName::as_str),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = schema::orders, check_for_backend(diesel::pg::Pg))]
pub(super) struct OrderRow {
    pub(super) id: Uuid,
    user_id: Uuid,
    status: String,
    failure_reason: Option<String>,
    total_minor: i64,
    currency: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = schema::order_lines, check_for_backend(diesel::pg::Pg))]
pub(super) struct OrderLineRow {
    pub(super) order_id: Uuid,
    product_id: Uuid,
    quantity: i32,
    unit_price_minor: i64,
    line_total_minor: i64,
}

impl OrderRow {
    /// The order, from its row and the rows of its lines in their order.
    pub(super) fn with_lines<'a>(
        self,
        lines: impl Iterator<Item = &'a OrderLineRow>,
    ) -> Result<Order, StorageError> {
        let lines = lines
            .map(|line| {
                Ok(OrderLine {
                    product_id: ProductId(line.product_id),
                    quantity: Quantity::new(line.quantity.into())?,
                    unit_price: money(line.unit_price_minor, &self.currency)?,
                    line_total: money(line.line_total_minor, &self.currency)?,
                })
            })
            .collect::<Result<_, StorageError>>()?;
        let status = OrderStatus::parse(&self.status)?;
        let failure_reason =
            match self.failure_reason {
                Some(name) => Some(FailureReason::parse(&name).ok_or_else(|| {
                    StorageError::UnreadableRow("unknown failure reason".to_owned())
                })?),
                // Written by a version without reasons, which failed a payment only when it was declined.
                None if status == OrderStatus::PaymentFailed => Some(FailureReason::Declined),
                None => None,
            };
        Ok(Order {
            id: OrderId(self.id),
            user_id: UserId(self.user_id),
            status,
            failure_reason,
            lines,
            total: money(self.total_minor, &self.currency)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
