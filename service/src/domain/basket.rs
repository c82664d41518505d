//! Baskets: what a customer asks for, after its form was checked.
//!
//! Whether it can be had is another question, and [`super::order`] decides it.

use std::collections::HashSet;

use super::ids::ProductId;
use super::validation::{ValidationCode, ValidationError, parse_in_range};

/// How many pieces of one product, 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity(u16);

impl Quantity {
    /// The most pieces in one line.
    const MAX: i64 = 1000;

    /// Checks the range.
    ///
    /// # Errors
    /// Returns `out_of_range` unless `pieces` is 1 to 1000.
    pub fn new(pieces: i64) -> Result<Self, ValidationError> {
        parse_in_range(pieces, 1..=Self::MAX).map(Self)
    }

    pub(crate) fn get(self) -> u16 {
        self.0
    }
}

/// One line of a request: so many of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasketLine {
    /// Product to order.
    pub product_id: ProductId,
    /// How many.
    pub quantity: Quantity,
}

/// What a customer wants: 1 to 100 lines, no product twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basket(Vec<BasketLine>);

/// What is wrong with a basket as a whole, or with the line of that index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasketError {
    /// The line at fault, from 0; none if it is the number of lines.
    pub(crate) line: Option<usize>,
    pub(crate) invalid: ValidationError,
}

impl Basket {
    /// The most lines of one order.
    const MAX_LINES: usize = 100;

    /// Checks the lines together.
    ///
    /// # Errors
    /// Returns `out_of_range` unless there are 1 to 100 lines, and `duplicate_product` for the
    /// second line of a product: which of the two quantities was meant is unknown.
    pub fn new(lines: Vec<BasketLine>) -> Result<Self, BasketError> {
        if lines.is_empty() || lines.len() > Self::MAX_LINES {
            return Err(BasketError {
                line: None,
                invalid: ValidationError::new(
                    ValidationCode::OutOfRange,
                    format!("must have 1 to {} lines", Self::MAX_LINES),
                ),
            });
        }
        let mut product_ids = HashSet::new();
        match lines
            .iter()
            .position(|line| !product_ids.insert(line.product_id))
        {
            Some(line) => Err(BasketError {
                line: Some(line),
                invalid: ValidationError::new(
                    ValidationCode::DuplicateProduct,
                    "an earlier line orders this product already",
                ),
            }),
            None => Ok(Self(lines)),
        }
    }

    /// The lines, in the customer's order.
    pub(crate) fn lines(&self) -> &[BasketLine] {
        &self.0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn accepts_1_to_100_lines_without_duplicate_product() {
        let line = |n: u128| BasketLine {
            product_id: ProductId(Uuid::from_u128(n)),
            quantity: Quantity::new(1).unwrap(),
        };
        assert!(Basket::new((0..100).map(line).collect()).is_ok());
        for lines in [vec![], (0..101).map(line).collect()] {
            assert_eq!(Basket::new(lines).unwrap_err().line, None);
        }
        let twice = Basket::new(vec![line(1), line(2), line(1)]).unwrap_err();
        assert_eq!(
            (twice.line, twice.invalid.code),
            (Some(2), ValidationCode::DuplicateProduct)
        );
    }
}
