//! Products as they are written into Redis.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry::CacheValue;
use crate::domain::ids::ProductId;
use crate::domain::money::{Currency, Money};
use crate::domain::product::Product;

/// The JSON form of a product. Only fields with a default may be
/// added, for while a new version is rolled out both read it; for anything else,
/// deploy with another `cache.key_prefix`.
#[derive(Serialize, Deserialize)]
struct ProductJson {
    id: ProductId,
    sku: String,
    name: String,
    price_minor: i64,
    currency: String,
    stock: i32,
    version: i64,
    updated_at: DateTime<Utc>,
}

impl From<&Product> for ProductJson {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id,
            sku: product.sku.clone(),
            name: product.name.clone(),
            price_minor: product.price.minor(),
            currency: product.price.currency().code().to_owned(),
            stock: product.stock,
            version: product.version,
            updated_at: product.updated_at,
        }
    }
}

impl ProductJson {
    fn into_product(self) -> Option<Product> {
        let currency = Currency::parse(&self.currency).ok()?;
        Some(Product {
            id: self.id,
            sku: self.sku,
            name: self.name,
            price: Money::new(self.price_minor, currency).ok()?,
            stock: self.stock,
            version: self.version,
            updated_at: self.updated_at,
        })
    }
}

impl CacheValue for Product {
    fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&ProductJson::from(self))
    }

    fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str::<ProductJson>(text)
            .ok()?
            .into_product()
    }
}

impl CacheValue for Vec<Product> {
    fn to_json(&self) -> serde_json::Result<String> {
        let rows: Vec<ProductJson> = self.iter().map(ProductJson::from).collect();
        serde_json::to_string(&rows)
    }

    fn from_json(text: &str) -> Option<Self> {
        let rows: Vec<ProductJson> = serde_json::from_str(text).ok()?;
        rows.into_iter().map(ProductJson::into_product).collect()
    }
}
