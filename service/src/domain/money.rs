//! Money: whole minor units (cents) of one ISO 4217 currency.
//!
//! Floating point can't hold 0.10 and silently loses cents; integers can't lose
//! any, but they overflow. So every operation is checked and says so instead of
//! wrapping, and two currencies never meet in one sum. The property tests below
//! compare each operation with the same one in 128 bits.

use super::basket::Quantity;
use super::validation::{ValidationCode, ValidationError};

/// An ISO 4217 currency code, such as `EUR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Currency(&'static str);

/// The active national currencies of ISO 4217 (list one, 2026), without funds,
/// metals and test codes.
const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD \
    BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP \
    GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW \
    KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD \
    NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP \
    SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND \
    VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

impl Currency {
    /// Finds the currency with this code.
    ///
    /// # Errors
    /// Returns `unknown_currency` for anything that is not an active code in upper case.
    pub(crate) fn parse(code: &str) -> Result<Self, ValidationError> {
        CURRENCIES
            .split_whitespace()
            .find(|known| *known == code)
            .map(Self)
            .ok_or_else(|| {
                ValidationError::new(
                    ValidationCode::UnknownCurrency,
                    "must be an ISO 4217 code in upper case, such as EUR",
                )
            })
    }

    pub(crate) fn code(self) -> &'static str {
        self.0
    }
}

/// An amount above zero. `minor` counts minor units: 1250 EUR are 12.50 euros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why two amounts could not be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MoneyError {
    /// The result does not fit into 64 bits.
    #[error("the amount is too large")]
    Overflow,
    /// The currencies differ.
    #[error("amounts of different currencies can't be added")]
    MixedCurrency,
}

impl Money {
    /// An amount of `minor` units.
    ///
    /// # Errors
    /// Returns `not_positive` unless `minor` is above zero: a price or a payment of
    /// nothing is neither.
    pub(crate) fn new(minor: i64, currency: Currency) -> Result<Self, ValidationError> {
        if minor <= 0 {
            return Err(ValidationError::new(
                ValidationCode::NotPositive,
                "must be above zero",
            ));
        }
        Ok(Self { minor, currency })
    }

    pub(crate) fn minor(self) -> i64 {
        self.minor
    }

    pub(crate) fn currency(self) -> Currency {
        self.currency
    }

    /// # Errors
    /// Returns [`MoneyError::MixedCurrency`] if the currencies differ, and [`MoneyError::Overflow`]
    /// if the sum does not fit into 64 bits.
    pub(super) fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrency);
        }
        let minor = self
            .minor
            .checked_add(other.minor)
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// # Errors
    /// Returns [`MoneyError::Overflow`] if the product does not fit into 64 bits.
    pub(super) fn checked_mul(self, quantity: Quantity) -> Result<Self, MoneyError> {
        let minor = self
            .minor
            .checked_mul(i64::from(quantity.get()))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::parse("EUR").unwrap()).unwrap()
    }

    #[test]
    fn accepts_only_active_upper_case_codes() {
        for code in ["EUR", "USD", "JPY", "KWD"] {
            assert_eq!(Currency::parse(code).unwrap().code(), code);
        }
        for code in ["eur", "EURO", "", "XXX", "EU R", "AED AFN", "DEM"] {
            assert_eq!(
                Currency::parse(code).unwrap_err().code,
                ValidationCode::UnknownCurrency
            );
        }
    }

    #[test]
    fn rejects_sum_of_two_currencies() {
        let usd = Money::new(1, Currency::parse("USD").unwrap()).unwrap();
        assert_eq!(eur(1).checked_add(usd), Err(MoneyError::MixedCurrency));
    }

    proptest! {
        #[test]
        fn sum_is_exact_or_overflows(a in 1..=i64::MAX, b in 1..=i64::MAX) {
            let exact = i128::from(a) + i128::from(b);
            match eur(a).checked_add(eur(b)) {
                Ok(sum) => prop_assert_eq!(i128::from(sum.minor()), exact),
                Err(e) => {
                    prop_assert_eq!(e, MoneyError::Overflow);
                    prop_assert!(exact > i128::from(i64::MAX));
                }
            }
        }

        #[test]
        fn product_is_exact_or_overflows(a in 1..=i64::MAX, n in 1..=1000_i64) {
            let exact = i128::from(a) * i128::from(n);
            match eur(a).checked_mul(Quantity::new(n).unwrap()) {
                Ok(product) => prop_assert_eq!(i128::from(product.minor()), exact),
                Err(e) => {
                    prop_assert_eq!(e, MoneyError::Overflow);
                    prop_assert!(exact > i128::from(i64::MAX));
                }
            }
        }

        #[test]
        fn rejects_amounts_below_one(minor in i64::MIN..=0) {
            prop_assert!(Money::new(minor, Currency::parse("EUR").unwrap()).is_err());
        }
    }
}
