//! Users and what makes a valid e-mail address and name.

use chrono::{DateTime, Utc};

use super::ids::UserId;
use super::text::short_text_type;
use super::validation::{ValidationCode, ValidationError};

short_text_type!(
    /// What a person wants to be called; 1 to 200 characters.
    pub PersonName,
    200
);

/// An e-mail address, kept as it was written; two addresses that differ only in
/// case are the same user (`users_email_c_key` in `migrations/`).
///
/// It is ASCII: a domain in another script is written in its ASCII form (`xn--…`, RFC 5890), and a local part in another
/// script (RFC 6531) is rejected. So no normal form and no locale can make one address of two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The most characters a deliverable address has (RFC 5321, section
    /// 4.5.3.1.3, less the angle brackets).
    const MAX_LENGTH: usize = 254;

    /// Checks the form of the address; whether it exists, only a mail can tell.
    ///
    /// # Errors
    /// Returns `too_long` above 254 characters, and `invalid_email` if the form is wrong.
    pub fn parse(text: String) -> Result<Self, ValidationError> {
        if text.chars().count() > Self::MAX_LENGTH {
            return Err(ValidationError::new(
                ValidationCode::TooLong,
                format!("must have at most {} characters", Self::MAX_LENGTH),
            ));
        }
        garde::rules::email::parse_email(&text).map_err(|_| {
            ValidationError::new(
                ValidationCode::InvalidEmail,
                "must be an e-mail address, such as ada@example.com",
            )
        })?;
        Ok(Self(text))
    }

    /// Returns the form in which addresses are compared.
    pub(crate) fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The address as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Buys.
    Customer,
    /// Keeps the catalogue and ships orders.
    Admin,
}

impl Role {
    /// The name on the wire and in the table.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Customer, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// A registered user, without the password hash: that never leaves `storage`
/// except into the hasher.
#[derive(Debug, Clone)]
pub struct User {
    pub(crate) id: UserId,
    /// As given at registration.
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) created_at: DateTime<Utc>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn rejects_malformed_email_addresses() {
        for good in [
            "ada@example.com",
            "a+b@example.co.uk",
            "x@y.z",
            "ada@xn--bcher-kva.example",
        ] {
            assert_eq!(EmailAddress::parse(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "a@b\0.c",
            "é@example.com",
            "e\u{301}@example.com",
            "ada@bücher.example",
            "ada@example.com\n",
            "ada@example\u{ff0e}com",
        ] {
            assert!(EmailAddress::parse(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn accepts_email_addresses_of_254_characters() {
        let code = |length: usize| {
            let domain = ["x".repeat(60).as_str(); 4].join(".");
            let local = "a".repeat(length - domain.len() - 1);
            let address = EmailAddress::parse(format!("{local}@{domain}"));
            address.err().map(|error| error.code)
        };
        let too_long = Some(ValidationCode::TooLong);
        assert_eq!([254, 255, 300].map(code), [None, too_long, too_long]);
    }

    #[test]
    fn role_round_trips_through_its_name() {
        assert_eq!(Role::Admin.as_str(), "admin");
        assert_eq!(Role::Customer.as_str(), "customer");
        assert_eq!(Role::parse("admin"), Some(Role::Admin));
        assert_eq!(Role::parse("customer"), Some(Role::Customer));
        assert_eq!(Role::parse("Admin"), None);
    }
}
