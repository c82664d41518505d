//! The shapes on the wire: what clients send and get.
//!
//! JSON, snake_case, times in RFC 3339, ids as UUIDs. A request shape says with
//! `check` what the domain makes of it, or which fields are at fault.

pub(super) mod orders;
pub(super) mod page;
pub(super) mod products;
pub(super) mod users;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::FieldErrors;
use crate::domain::money::{Currency, Money};

/// An amount of money.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MoneyBody {
    /// In minor units: 1250 EUR are 12.50 euros.
    #[schema(minimum = 1, example = 1250)]
    amount_minor: i64,
    /// ISO 4217, in upper case.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self {
            amount_minor: money.minor(),
            currency: money.currency().code().to_owned(),
        }
    }
}

impl MoneyBody {
    fn check(&self, pointer: &str, fields: &mut FieldErrors) -> Option<Money> {
        let currency = fields.check(
            &format!("{pointer}/currency"),
            Currency::parse(&self.currency),
        )?;
        fields.check(
            &format!("{pointer}/amount_minor"),
            Money::new(self.amount_minor, currency),
        )
    }
}
