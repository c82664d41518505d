//! Products on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::MoneyBody;
use crate::domain::product::{
    NewProduct, Product, ProductChange, ProductName, Sku, Stock, StockDelta,
};
use crate::http::extract::FieldErrors;
use crate::http::problem::Problem;

/// A new product.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateProductRequest {
    /// The shop's own number; unique, not blank.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]*$",
        example = "LAMP-1"
    )]
    sku: String,
    /// What it is called; not blank.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]*$",
        example = "Lamp"
    )]
    name: String,
    /// What one piece costs.
    price: MoneyBody,
    /// How many pieces there are.
    #[schema(minimum = 0, maximum = 1_000_000_000, example = 10)]
    stock: i64,
}

impl CreateProductRequest {
    /// What the domain makes of it.
    ///
    /// # Errors
    /// Returns a problem that names every invalid field.
    pub(crate) fn check(self) -> Result<NewProduct, Problem> {
        let mut fields = FieldErrors::default();
        let sku = fields.check("/sku", Sku::parse(self.sku));
        let name = fields.check("/name", ProductName::parse(self.name));
        let price = self.price.check("/price", &mut fields);
        let stock = fields.check("/stock", Stock::new(self.stock));
        let product = || {
            Some(NewProduct {
                sku: sku?,
                name: name?,
                price: price?,
                stock: stock?,
            })
        };
        fields.finish(product())
    }
}

/// What to change of a product; what is missing stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeProductRequest {
    /// What it is called; not blank.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]*$"
    )]
    name: Option<String>,
    /// What one piece costs.
    price: Option<MoneyBody>,
}

impl ChangeProductRequest {
    /// What the domain makes of it.
    ///
    /// # Errors
    /// Returns a problem that names every invalid field.
    pub(crate) fn check(self) -> Result<ProductChange, Problem> {
        let mut fields = FieldErrors::default();
        let name = fields.check_optional("/name", self.name.map(ProductName::parse));
        let price = match self.price {
            Some(price) => price.check("/price", &mut fields).map(Some),
            None => Some(None),
        };
        let change = || {
            Some(ProductChange {
                name: name?,
                price: price?,
            })
        };
        fields.finish(change())
    }
}

/// Pieces that came in, or were taken out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdjustStockRequest {
    /// Above zero: came in; below: taken out; not 0.
    #[schema(minimum = -1_000_000_000, maximum = 1_000_000_000, example = 5)]
    delta: i64,
}

impl AdjustStockRequest {
    /// What the domain makes of it.
    ///
    /// # Errors
    /// Returns a problem that names the field if it is invalid.
    pub(crate) fn check(self) -> Result<StockDelta, Problem> {
        let mut fields = FieldErrors::default();
        let delta = fields.check("/delta", StockDelta::new(self.delta));
        fields.finish(delta)
    }
}

/// A product.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProductResponse {
    /// Names the product.
    pub(crate) id: Uuid,
    /// The shop's own number.
    sku: String,
    /// What it is called.
    name: String,
    /// What one piece costs.
    price: MoneyBody,
    /// How many pieces are left.
    stock: i32,
    /// Counts the changes of any of these, from 1; also the ETag.
    version: i64,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<Product> for ProductResponse {
    fn from(product: Product) -> Self {
        Self {
            id: product.id.0,
            sku: product.sku,
            name: product.name,
            price: product.price.into(),
            stock: product.stock,
            version: product.version,
            updated_at: product.updated_at,
        }
    }
}
