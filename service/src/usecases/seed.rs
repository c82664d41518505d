//! Something to look at: demo users and a thousand products, for development.

use anyhow::Context as _;

use super::clock::current_time;
use super::register_user::{Registration, register_user};
use super::{Services, UseCaseError};
use crate::domain::ids::ProductId;
use crate::domain::money::{Currency, Money};
use crate::domain::password::Password;
use crate::domain::product::{NewProduct, ProductName, Sku, Stock};
use crate::domain::user::{EmailAddress, PersonName, Role};
use crate::storage::{AsyncConnection as _, products};

const PRODUCTS: usize = 1000;

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

/// What became of the demo users, or of the demo products.
#[derive(Debug, Default)]
pub(crate) struct SeedCounts {
    pub(crate) added: usize,
    pub(crate) existing: usize,
}

/// Adds the demo users and products that are not there yet, and returns what became
/// of each. A second run changes nothing.
///
/// # Errors
/// Returns an error if the database fails; users that were added stay.
pub(crate) async fn seed(services: &Services) -> anyhow::Result<(SeedCounts, SeedCounts)> {
    Ok((seed_users(services).await?, seed_products(services).await?))
}

async fn seed_users(services: &Services) -> anyhow::Result<SeedCounts> {
    let mut users = SeedCounts::default();
    for (email, password, name, role) in USERS {
        let registration = Registration {
            email: EmailAddress::parse(email.to_owned())?,
            password: Password::parse(password.to_owned().into())?,
            name: PersonName::parse(name.to_owned())?,
        };
        match register_user(services, registration, role).await {
            Ok(_) => users.added += 1,
            Err(UseCaseError::EmailTaken) => users.existing += 1,
            Err(error) => return Err(error).context("registering a demo user"),
        }
    }
    Ok(users)
}

async fn seed_products(services: &Services) -> anyhow::Result<SeedCounts> {
    let mut conn = services.database.connection().await?;
    conn.transaction(async |conn| {
        let demo: Vec<_> = (0..PRODUCTS).map(demo_product).collect::<Result<_, _>>()?;
        let skus: Vec<&str> = demo.iter().map(|product| product.sku.as_str()).collect();
        let existing_skus = products::find_existing_skus(conn, &skus).await?;
        for product in &demo {
            if existing_skus.contains(product.sku.as_str()) {
                continue;
            }
            let now = current_time();
            products::insert(conn, ProductId::new(now), product, now).await?;
        }
        Ok::<_, anyhow::Error>(SeedCounts {
            added: PRODUCTS - existing_skus.len(),
            existing: existing_skus.len(),
        })
    })
    .await
}

fn demo_product(number: usize) -> anyhow::Result<NewProduct> {
    let pick = |words: &[&'static str; 10], digit: u32| words[number / 10_usize.pow(digit) % 10];
    let name = format!(
        "{} {} {}",
        pick(&COLOURS, 1),
        pick(&MATERIALS, 0),
        pick(&THINGS, 2)
    );
    let cents = 499 + i64::try_from(number * 7919 % 20_000)?;
    Ok(NewProduct {
        sku: Sku::parse(format!("DEMO-{:04}", number + 1))?,
        name: ProductName::parse(name)?,
        price: Money::new(cents, Currency::parse("EUR")?)?,
        stock: Stock::new(1_000_000)?,
    })
}
