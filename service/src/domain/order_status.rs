//! The life of an order, as a table of allowed transitions.
//!
//! ```text
//! pending --pay--> paid --ship--> shipped
//!    |
//!    +--cancel--> cancelled
//!    +--decline, expire--> payment_failed
//! ```
//!
//! Two transitions of the same order may race: a customer cancels while the
//! payment arrives. Each locks the row and calls `OrderStatus::apply`; the
//! second gets [`InvalidTransition`]. The race is run in `tests/api/orders/races.rs`.

use super::validation::{ValidationCode, ValidationError};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Taken; its stock is reserved, its payment is still to come.
    Pending,
    /// Charged.
    Paid,
    /// Sent; the end of a good order.
    Shipped,
    /// Given up by the customer before it was paid; the stock went back.
    Cancelled,
    /// Not paid, for a [`FailureReason`]; the stock went back.
    PaymentFailed,
}

/// Why the payment of an order failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureReason {
    /// The charge was declined.
    Declined,
    /// The order was still unpaid after `orders.payment_window`.
    Expired,
}

/// What can happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OrderTransition {
    /// The charge succeeded.
    Pay,
    /// The charge was declined.
    Decline,
    /// The customer changed their mind.
    Cancel,
    /// The time to pay is over.
    Expire,
    /// An admin sent the goods.
    Ship,
}

/// The transition does not start from the status of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {} can't be {}", status.as_str(), attempted.past_participle())]
pub struct InvalidTransition {
    pub(crate) status: OrderStatus,
    pub(crate) attempted: OrderTransition,
}

impl OrderStatus {
    const ALL: [Self; 5] = [
        Self::Pending,
        Self::Paid,
        Self::Shipped,
        Self::Cancelled,
        Self::PaymentFailed,
    ];

    /// Returns the status after the transition.
    ///
    /// # Errors
    /// Returns [`InvalidTransition`] if the table has no such transition.
    pub(crate) fn apply(self, attempted: OrderTransition) -> Result<Self, InvalidTransition> {
        match (self, attempted) {
            (Self::Pending, OrderTransition::Pay) => Ok(Self::Paid),
            (Self::Pending, OrderTransition::Decline | OrderTransition::Expire) => {
                Ok(Self::PaymentFailed)
            }
            (Self::Pending, OrderTransition::Cancel) => Ok(Self::Cancelled),
            (Self::Paid, OrderTransition::Ship) => Ok(Self::Shipped),
            (status, attempted) => Err(InvalidTransition { status, attempted }),
        }
    }

    /// The name on the wire and in the table.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
            Self::PaymentFailed => "payment_failed",
        }
    }

    /// Returns the status with this name.
    ///
    /// # Errors
    /// Returns `unknown_status` if there is none.
    pub(crate) fn parse(name: &str) -> Result<Self, ValidationError> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == name)
            .ok_or_else(|| {
                ValidationError::new(
                    ValidationCode::UnknownStatus,
                    "must be pending, paid, shipped, cancelled or payment_failed",
                )
            })
    }
}

impl FailureReason {
    /// The name on the wire and in the table.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::Expired => "expired",
        }
    }

    /// Returns the reason with this name, if there is one.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Declined, Self::Expired]
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

impl OrderTransition {
    /// Returns the reason that the order gets if the transition fails its payment.
    pub(super) fn failure_reason(self) -> Option<FailureReason> {
        match self {
            Self::Decline => Some(FailureReason::Declined),
            Self::Expire => Some(FailureReason::Expired),
            Self::Pay | Self::Cancel | Self::Ship => None,
        }
    }

    fn past_participle(self) -> &'static str {
        match self {
            Self::Pay => "paid",
            Self::Decline => "declined",
            Self::Cancel => "cancelled",
            Self::Expire => "expired",
            Self::Ship => "shipped",
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use OrderStatus::{Cancelled, Paid, PaymentFailed, Pending, Shipped};
    use OrderTransition::{Cancel, Decline, Expire, Pay, Ship};
    use proptest::prelude::*;

    fn transitions() -> impl Strategy<Value = Vec<OrderTransition>> {
        prop::collection::vec(
            prop::sample::select(vec![Pay, Decline, Cancel, Expire, Ship]),
            0..12,
        )
    }

    #[test]
    fn invalid_transition_names_status_and_attempt() {
        let error = Shipped.apply(OrderTransition::Cancel).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an order that is shipped can't be cancelled"
        );
    }

    #[test]
    fn allows_exactly_five_transitions() {
        let legal = [
            (Pending, Pay, Paid),
            (Pending, Decline, PaymentFailed),
            (Pending, Cancel, Cancelled),
            (Pending, Expire, PaymentFailed),
            (Paid, Ship, Shipped),
        ];
        for from in OrderStatus::ALL {
            for attempted in [Pay, Decline, Cancel, Expire, Ship] {
                let expected = legal
                    .iter()
                    .find(|(f, a, _)| (*f, *a) == (from, attempted))
                    .map(|(_, _, to)| *to);
                assert_eq!(
                    from.apply(attempted).ok(),
                    expected,
                    "{from:?} {attempted:?}"
                );
            }
        }
    }

    #[test]
    fn names_round_trip() {
        for status in OrderStatus::ALL {
            assert_eq!(OrderStatus::parse(status.as_str()).unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for reason in [FailureReason::Declined, FailureReason::Expired] {
            assert_eq!(FailureReason::parse(reason.as_str()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(
            OrderStatus::parse("PAID").unwrap_err().code,
            ValidationCode::UnknownStatus
        );
    }

    proptest! {
        // Whatever is tried, in whatever order, money and goods agree: only a
        // paid order is shipped, an order ends once, and stock that went back
        // never leaves again.
        #[test]
        fn transitions_never_become_inconsistent(sequence in transitions()) {
            let (mut status, mut charged, mut ended) = (Pending, false, false);
            for attempted in sequence {
                let before = status;
                let Ok(next) = status.apply(attempted) else { continue };
                prop_assert!(!ended, "{before:?} was final");
                prop_assert!(attempted != Ship || charged);
                let has_restocked = matches!(before, Cancelled | PaymentFailed);
                prop_assert!(!has_restocked || matches!(next, Cancelled | PaymentFailed));
                charged |= attempted == Pay;
                ended = matches!(next, Shipped | Cancelled | PaymentFailed);
                status = next;
            }
            prop_assert_eq!(charged, matches!(status, Paid | Shipped));
        }
    }
}
