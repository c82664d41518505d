//! Orders: what is taken down of a basket, or why it can't be.
//!
//! `Order::place` is the decision, made from the products as they stand while
//! their rows are locked. It is pure, so every rejection has a plain unit test here.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::basket::{Basket, Quantity};
use super::ids::{OrderId, ProductId, UserId};
use super::money::{Money, MoneyError};
use super::order_status::{FailureReason, InvalidTransition, OrderStatus, OrderTransition};
use super::product::AvailableProduct;

/// One line of an order, with the price of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderLine {
    pub(crate) product_id: ProductId,
    pub(crate) quantity: Quantity,
    /// What one cost when it was ordered.
    pub(crate) unit_price: Money,
    pub(crate) line_total: Money,
}

/// An order that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Names the order.
    pub id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) status: OrderStatus,
    /// Set if and only if the status is `payment_failed`.
    pub(crate) failure_reason: Option<FailureReason>,
    /// In the customer's order.
    pub(crate) lines: Vec<OrderLine>,
    pub(crate) total: Money,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A line that asks for more than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The line, from 0.
    pub(crate) line: usize,
    /// How many pieces are left.
    pub(crate) available: i32,
}

/// Why an order can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRejection {
    /// These lines, from 0, name no product.
    #[error("the order names a product that does not exist")]
    UnknownProducts(Vec<usize>),
    /// These lines ask for more than there is.
    #[error("there is not enough stock")]
    OutOfStock(Vec<Shortage>),
    /// This line, from 0, is priced in another currency than the first.
    #[error("all lines of an order must have one currency")]
    MixedCurrency(usize),
    /// This line, from 0, takes the total over what 64 bits hold.
    #[error("the total is too large")]
    TotalTooLarge(usize),
}

impl Order {
    /// Decides whether `basket` can be taken from `products` (those of its
    /// products that exist, in any order), and what it costs.
    ///
    /// # Errors
    /// Returns an [`OrderRejection`] with all lines that have the same fault.
    pub(crate) fn place(
        user_id: UserId,
        basket: &Basket,
        products: &[AvailableProduct],
        now: DateTime<Utc>,
    ) -> Result<Self, OrderRejection> {
        let lines = price_lines(basket, products)?;
        let total = sum_lines(&lines)?;
        Ok(Self {
            id: OrderId::new(now),
            user_id,
            status: OrderStatus::Pending,
            failure_reason: None,
            lines,
            total,
            created_at: now,
            updated_at: now,
        })
    }

    /// Changes the status.
    ///
    /// # Errors
    /// Returns [`InvalidTransition`] if the status does not allow it; nothing was changed.
    pub(crate) fn apply(
        &mut self,
        transition: OrderTransition,
        now: DateTime<Utc>,
    ) -> Result<(), InvalidTransition> {
        self.status = self.status.apply(transition)?;
        self.failure_reason = transition.failure_reason();
        self.updated_at = now;
        Ok(())
    }
}

fn price_lines(
    basket: &Basket,
    products: &[AvailableProduct],
) -> Result<Vec<OrderLine>, OrderRejection> {
    let by_id: HashMap<_, _> = products.iter().map(|p| (p.id, p)).collect();
    let (mut lines, mut unknown, mut shortages) = (Vec::new(), Vec::new(), Vec::new());
    for (index, basket_line) in basket.lines().iter().enumerate() {
        let Some(product) = by_id.get(&basket_line.product_id) else {
            unknown.push(index);
            continue;
        };
        if product.stock < i32::from(basket_line.quantity.get()) {
            shortages.push(Shortage {
                line: index,
                available: product.stock,
            });
        }
        lines.push(OrderLine {
            product_id: product.id,
            quantity: basket_line.quantity,
            unit_price: product.price,
            line_total: product
                .price
                .checked_mul(basket_line.quantity)
                .map_err(|_| OrderRejection::TotalTooLarge(index))?,
        });
    }
    if !unknown.is_empty() {
        return Err(OrderRejection::UnknownProducts(unknown));
    }
    if !shortages.is_empty() {
        return Err(OrderRejection::OutOfStock(shortages));
    }
    Ok(lines)
}

fn sum_lines(lines: &[OrderLine]) -> Result<Money, OrderRejection> {
    let mut totals = lines.iter().map(|line| line.line_total).enumerate();
    // A basket has a line at least, so this is for the compiler only.
    let Some((_, first)) = totals.next() else {
        return Err(OrderRejection::UnknownProducts(Vec::new()));
    };
    totals.try_fold(first, |sum, (index, next)| {
        sum.checked_add(next).map_err(|error| match error {
            MoneyError::MixedCurrency => OrderRejection::MixedCurrency(index),
            MoneyError::Overflow => OrderRejection::TotalTooLarge(index),
        })
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::domain::basket::BasketLine;
    use crate::domain::money::Currency;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn product(n: u128, price: i64, currency: &str, stock: i32) -> AvailableProduct {
        AvailableProduct {
            id: ProductId(Uuid::from_u128(n)),
            price: Money::new(price, Currency::parse(currency).unwrap()).unwrap(),
            stock,
        }
    }

    fn basket(lines: &[(u128, i64)]) -> Basket {
        let line = |(n, quantity): &(u128, i64)| BasketLine {
            product_id: ProductId(Uuid::from_u128(*n)),
            quantity: Quantity::new(*quantity).unwrap(),
        };
        Basket::new(lines.iter().map(line).collect()).unwrap()
    }

    fn place(
        lines: &[(u128, i64)],
        products: &[AvailableProduct],
    ) -> Result<Order, OrderRejection> {
        let now = Utc::now();
        Order::place(UserId::new(now), &basket(lines), products, now)
    }

    #[test]
    fn keeps_lines_and_sums_their_totals() {
        let products = [product(1, 250, "EUR", 5), product(2, 1000, "EUR", 1)];
        let order = place(&[(2, 1), (1, 3)], &products).unwrap();
        assert_eq!(order.status, OrderStatus::Pending);
        assert_eq!(order.total.minor(), 1750);
        let totals: Vec<_> = order.lines.iter().map(|l| l.line_total.minor()).collect();
        assert_eq!(totals, [1000, 750]);
    }

    #[test]
    fn failed_payment_has_reason() {
        for (transition, reason) in [
            (OrderTransition::Decline, Some(FailureReason::Declined)),
            (OrderTransition::Expire, Some(FailureReason::Expired)),
            (OrderTransition::Cancel, None),
        ] {
            let mut order = place(&[(1, 1)], &[product(1, 250, "EUR", 5)]).unwrap();
            order.apply(transition, Utc::now()).unwrap();
            assert_eq!(order.failure_reason, reason);
            assert!(order.apply(OrderTransition::Pay, Utc::now()).is_err());
            assert_eq!(order.failure_reason, reason);
        }
    }

    #[test]
    fn rejection_names_every_invalid_line() {
        let products = [product(1, 1, "EUR", 1), product(2, 1, "EUR", 0)];
        assert_eq!(
            place(&[(9, 1), (1, 1), (8, 1)], &products),
            Err(OrderRejection::UnknownProducts(vec![0, 2]))
        );
        let short = |line, available| Shortage { line, available };
        assert_eq!(
            place(&[(1, 2), (2, 1)], &products),
            Err(OrderRejection::OutOfStock(vec![short(0, 1), short(1, 0)]))
        );
    }

    #[test]
    fn rejects_mixed_currencies_and_overflow() {
        let products = [
            product(1, 1, "EUR", 9),
            product(2, 1, "USD", 9),
            product(3, i64::MAX, "EUR", 9),
        ];
        assert_eq!(
            place(&[(1, 1), (2, 1)], &products),
            Err(OrderRejection::MixedCurrency(1))
        );
        assert_eq!(
            place(&[(3, 2)], &products),
            Err(OrderRejection::TotalTooLarge(0))
        );
        assert_eq!(
            place(&[(1, 1), (3, 1)], &products),
            Err(OrderRejection::TotalTooLarge(1))
        );
    }

    proptest! {
        #[test]
        fn total_is_exact_sum_of_line_totals(
            priced in prop::collection::vec((1..=i64::MAX, 1..=1000_i64), 1..10)
        ) {
            let numbered = || (1_u128..).zip(&priced);
            let products: Vec<_> = numbered().map(|(n, (p, _))| product(n, *p, "EUR", 1000)).collect();
            let lines: Vec<_> = numbered().map(|(n, (_, q))| (n, *q)).collect();
            let exact: i128 = priced.iter().map(|(p, q)| i128::from(*p) * i128::from(*q)).sum();
            match place(&lines, &products) {
                Ok(order) => prop_assert_eq!(i128::from(order.total.minor()), exact),
                Err(OrderRejection::TotalTooLarge(_)) => prop_assert!(exact > i128::from(i64::MAX)),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
