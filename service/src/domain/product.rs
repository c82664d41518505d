//! Products: what is for sale and how much of it is left.
//!
//! A new field of a product stands in: a migration, `storage/schema.rs`, `storage/rows.rs`, here
//! (the new product, the change and the product), `http/wire/products.rs`, `usecases/seed.rs`, and
//! the snapshot of the API's response.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::ProductId;
use super::money::Money;
use super::text::{search_key, short_text_type};
use super::validation::{ValidationCode, ValidationError, parse_in_range};

short_text_type!(
    /// The shop's own number for a product; unique, 1 to 64 characters.
    pub(crate) Sku,
    64
);
short_text_type!(
    /// What a product is called; 1 to 200 characters.
    pub(crate) ProductName,
    200
);

impl ProductName {
    /// Returns the form that a search compares.
    pub(crate) fn search_key(&self) -> String {
        search_key(self.as_str())
    }
}

/// How many pieces there are, 0 to [`Stock::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock(i32);

impl Stock {
    /// The most pieces of one product.
    pub(crate) const MAX: i64 = 1_000_000_000;

    /// # Errors
    /// Returns `out_of_range` unless `pieces` is 0 to [`Stock::MAX`].
    pub(crate) fn new(pieces: i64) -> Result<Self, ValidationError> {
        parse_in_range(pieces, 0..=Self::MAX).map(Self)
    }

    pub(crate) fn get(self) -> i32 {
        self.0
    }
}

/// A change of stock: pieces that came in (above zero) or were taken out (below).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StockDelta(i32);

impl StockDelta {
    /// # Errors
    /// Returns `out_of_range` if `pieces` is 0 or exceeds [`Stock::MAX`] in either direction.
    pub(crate) fn new(pieces: i64) -> Result<Self, ValidationError> {
        i32::try_from(pieces)
            .ok()
            .filter(|n| *n != 0 && i64::from(n.unsigned_abs()) <= Stock::MAX)
            .map(Self)
            .ok_or_else(|| {
                ValidationError::new(
                    ValidationCode::OutOfRange,
                    format!("must be from -{0} to {0} and not 0", Stock::MAX),
                )
            })
    }

    /// How many pieces, with the sign.
    pub(crate) fn get(self) -> i32 {
        self.0
    }
}

/// A product to create.
#[derive(Debug)]
pub(crate) struct NewProduct {
    pub(crate) sku: Sku,
    pub(crate) name: ProductName,
    pub(crate) price: Money,
    pub(crate) stock: Stock,
}

/// A change of a product; `None` leaves a field unchanged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ProductChange {
    pub(crate) name: Option<ProductName>,
    pub(crate) price: Option<Money>,
}

/// What an order needs of a product.
#[derive(Debug)]
pub(crate) struct AvailableProduct {
    pub(crate) id: ProductId,
    pub(crate) price: Money,
    pub(crate) stock: i32,
}

/// A product.
///
/// Its JSON form is the one in the cache, which the replicas of two versions share while a new
/// version is rolled out. A new field therefore needs `#[serde(default)]`; for any other change of
/// the form, deploy with another `cache.key_prefix`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: ProductId,
    pub(crate) sku: String,
    pub(crate) name: String,
    #[serde(flatten, with = "price_fields")]
    pub(crate) price: Money,
    pub(crate) stock: i32,
    /// Counts the changes of any of these, from 1: the ETag.
    pub(crate) version: i64,
    pub(crate) updated_at: DateTime<Utc>,
}

/// The price in the JSON form of a product: two fields of the product.
mod price_fields {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::domain::money::{Currency, Money};

    #[derive(Serialize, Deserialize)]
    struct PriceFields {
        price_minor: i64,
        currency: String,
    }

    pub(super) fn serialize<S: Serializer>(price: &Money, to: S) -> Result<S::Ok, S::Error> {
        let fields = PriceFields {
            price_minor: price.minor(),
            currency: price.currency().code().to_owned(),
        };
        fields.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Money, D::Error> {
        let fields = PriceFields::deserialize(from)?;
        let currency = Currency::parse(&fields.currency).map_err(D::Error::custom)?;
        Money::new(fields.price_minor, currency).map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// An entry as a replica of the first version writes it.
    const CACHED: &str = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","sku":"LAMP-1","name":"Lamp","price_minor":1250,"currency":"EUR","stock":3,"version":2,"updated_at":"2026-11-20T10:00:00.123456Z"}"#;

    #[test]
    fn cached_form_is_stable() {
        let product: Product = serde_json::from_str(CACHED).unwrap();
        assert_eq!(product.price.minor(), 1250);
        let written = serde_json::to_value(&product).unwrap();
        let known: BTreeMap<&str, Value> = serde_json::from_str(CACHED).unwrap();
        for (field, value) in known {
            assert_eq!(written[field], value, "{field}");
        }
        let newer = CACHED.replacen('{', r#"{"later":true,"#, 1);
        assert!(serde_json::from_str::<Product>(&newer).is_ok());
        for (field, invalid) in [("1250", "0"), ("EUR", "XXX")] {
            let invalid = CACHED.replace(field, invalid);
            assert!(
                serde_json::from_str::<Product>(&invalid).is_err(),
                "{invalid}"
            );
        }
    }

    #[test]
    fn stock_rejects_values_out_of_range() {
        let ok = |n: i64| Stock::new(n).is_ok();
        assert_eq!(
            [-1, 0, Stock::MAX, Stock::MAX + 1, i64::MAX].map(ok),
            [false, true, true, false, false]
        );
    }

    #[test]
    fn stock_delta_is_signed_and_not_zero() {
        let ok = |n: i64| StockDelta::new(n).is_ok();
        assert_eq!(
            [
                -Stock::MAX - 1,
                -Stock::MAX,
                0,
                1,
                i64::MIN,
                i64::from(i32::MIN)
            ]
            .map(ok),
            [false, true, false, true, false, false]
        );
    }
}
