//! Something to look at: demo users and a thousand products, for development.

use anyhow::Context as _;

use super::register_user::{Registration, register_user};
use super::{Services, UseCaseError, now};
use crate::domain::ids::ProductId;
use crate::domain::money::{Currency, Money};
use crate::domain::product::{ProductName, Sku, Stock};
use crate::domain::user::{EmailAddress, Password, PersonName, Role};
use crate::storage::products::{self, NewProduct};
use crate::storage::transaction::in_transaction;

/// How many products there are after seeding.
pub const PRODUCTS: usize = 1000;

const USERS: [(&str, &str, &str, Role); 2] = [
    (
        "admin@example.com",
        "orderly-demo-admin",
        "Demo Admin",
        Role::Admin,
    ),
    (
        "customer@example.com",
        "orderly-demo-customer",
        "Demo Customer",
        Role::Customer,
    ),
];

const MATERIALS: [&str; 10] = [
    "Oak", "Steel", "Linen", "Glass", "Cork", "Copper", "Wool", "Bamboo", "Stone", "Paper",
];
const COLOURS: [&str; 10] = [
    "Red", "Blue", "Green", "White", "Black", "Grey", "Amber", "Teal", "Rose", "Plain",
];
const THINGS: [&str; 10] = [
    "Lamp", "Chair", "Bowl", "Clock", "Shelf", "Kettle", "Blanket", "Mirror", "Vase", "Notebook",
];

/// Adds the demo users and products that are not there yet, and returns how many
/// products were added. A second run changes nothing.
///
/// # Errors
/// If the database can't be reached.
pub async fn seed(services: &Services) -> anyhow::Result<usize> {
    for (email, password, name, role) in USERS {
        let registration = Registration {
            email: EmailAddress::parse(email.to_owned())?,
            password: Password::parse(password.to_owned().into())?,
            name: PersonName::parse(name.to_owned())?,
        };
        match register_user(services, registration, role).await {
            Ok(_) | Err(UseCaseError::EmailTaken) => {}
            Err(error) => return Err(error).context("registering a demo user"),
        }
    }
    let mut conn = services.database.connection().await?;
    in_transaction(&mut conn, async |conn| {
        let present = products::count(conn).await?;
        for number in present..PRODUCTS {
            let (sku, name, price, stock) = product(number)?;
            let created_at = now();
            let new = NewProduct {
                id: ProductId::new(created_at),
                sku: &sku,
                name: &name,
                price,
                stock,
                created_at,
            };
            products::insert(conn, &new).await?;
        }
        Ok::<_, anyhow::Error>(PRODUCTS.saturating_sub(present))
    })
    .await
}

fn product(number: usize) -> anyhow::Result<(Sku, ProductName, Money, Stock)> {
    let pick = |words: &[&'static str; 10], digit: u32| words[number / 10_usize.pow(digit) % 10];
    let name = format!(
        "{} {} {}",
        pick(&COLOURS, 1),
        pick(&MATERIALS, 0),
        pick(&THINGS, 2)
    );
    let cents = 499 + i64::try_from(number * 7919 % 20_000)?;
    Ok((
        Sku::parse(format!("DEMO-{:04}", number + 1))?,
        ProductName::parse(name)?,
        Money::new(cents, Currency::parse("EUR")?)?,
        Stock::new(1_000_000)?,
    ))
}
