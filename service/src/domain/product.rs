//! Products: what is for sale and how much of it is left.

use chrono::{DateTime, Utc};

use super::ids::ProductId;
use super::money::Money;
use super::text::short_text_type;
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

/// A product as clients see it.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) id: ProductId,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) price: Money,
    pub(crate) stock: i32,
    /// Counts the changes of any of these, from 1: the ETag.
    pub(crate) version: i64,
    pub(crate) updated_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
