//! What a customer does in the shop.
//!
//! A customer who is refused goes away: one who asked again would make the rate something else
//! than what was asked for. (How a good client asks again is shown by the drills of the service.)

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use rand::seq::IndexedRandom as _;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::api::{ApiClient, RequestError, RequestOutcome};
use crate::customers::Customers;
use crate::recorder::{Endpoint, Recorder};

/// Products to choose from.
const CATALOGUE: usize = 1000;
/// Lines of an order, at most.
const LINES: usize = 3;
/// The waits between two looks at an order.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A way to visit the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Look at the shelves and at a product, order, and wait until it is paid
    Buy,
    /// Look at the shelves and at three products, without an account
    Browse,
}

/// Where the customers go.
pub struct Shop {
    api: ApiClient,
    scenario: Scenario,
    customers: Option<Customers>,
    products: Vec<String>,
    paid_within: Duration,
}

impl Shop {
    /// Registers the customers that the scenario needs and reads the catalogue.
    pub async fn open(
        api: ApiClient,
        scenario: Scenario,
        customers: usize,
        paid_within: Duration,
    ) -> anyhow::Result<Self> {
        let products = catalogue(&api).await?;
        let customers = match scenario {
            Scenario::Buy => Some(Customers::register(&api, customers).await?),
            Scenario::Browse => None,
        };
        Ok(Self {
            api,
            scenario,
            customers,
            products,
            paid_within,
        })
    }

    /// One visit, by a customer who should have come at `due`.
    pub async fn visit(&self, number: u64, due: Instant, recorder: &Recorder) {
        recorder.record_start_delay(due, due.elapsed());
        let visit = Visit {
            shop: self,
            recorder,
            due,
            first: true,
        };
        let outcome = match self.scenario {
            Scenario::Buy => visit.buy(number).await,
            Scenario::Browse => visit.browse().await,
        };
        let outcome = outcome.err().unwrap_or(RequestOutcome::Succeeded);
        recorder.record_iteration(due, due.elapsed(), &outcome);
    }
}

struct Visit<'a> {
    shop: &'a Shop,
    recorder: &'a Recorder,
    due: Instant,
    first: bool,
}

impl Visit<'_> {
    async fn browse(mut self) -> Result<(), RequestOutcome> {
        let api = &self.shop.api;
        self.ask(Endpoint::ListProducts, api.list_products(20, None))
            .await?;
        for product in self.pick(3) {
            self.ask(Endpoint::GetProduct, api.get_product(&product))
                .await?;
        }
        Ok(())
    }

    async fn buy(mut self, number: u64) -> Result<(), RequestOutcome> {
        let (api, shop) = (&self.shop.api, self.shop);
        self.ask(Endpoint::ListProducts, api.list_products(20, None))
            .await?;
        let basket = self.pick(1 + usize::try_from(number).unwrap_or_default() % LINES);
        for product in basket.iter().take(1) {
            self.ask(Endpoint::GetProduct, api.get_product(product))
                .await?;
        }
        let Some(customers) = &shop.customers else {
            return Err(RequestOutcome::Failed(
                "no customers were registered".to_owned(),
            ));
        };
        let token = customers
            .token(number)
            .await
            .map_err(|error| error.outcome)?;
        let key = Uuid::now_v7().to_string();
        let placing = api.place_order(&token, &key, &basket);
        let order = self.ask(Endpoint::PlaceOrder, placing).await?;
        self.wait_until_paid(&token, &order.id).await
    }

    async fn wait_until_paid(&mut self, token: &str, order: &str) -> Result<(), RequestOutcome> {
        let (placed, mut wait) = (Instant::now(), FIRST_LOOK);
        while placed.elapsed() < self.shop.paid_within {
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            let looking = self.shop.api.get_order(token, order);
            let order = self.ask(Endpoint::GetOrder, looking).await?;
            match order.status.as_str() {
                "pending" => {}
                "paid" => return Ok(()),
                other => return Err(RequestOutcome::Failed(format!("the order is {other}"))),
            }
        }
        Err(RequestOutcome::Failed("not paid in time".to_owned()))
    }

    /// Sends a request, and counts it from when it should have been sent: the first one of a visit
    /// when the customer should have come.
    async fn ask<T>(
        &mut self,
        endpoint: Endpoint,
        request: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestOutcome> {
        let started_at = if self.first { self.due } else { Instant::now() };
        self.first = false;
        let answer = request.await.map_err(|error| error.outcome);
        let outcome = answer.as_ref().err().unwrap_or(&RequestOutcome::Succeeded);
        let took = started_at.elapsed();
        self.recorder
            .record_request(self.due, endpoint, took, outcome);
        answer
    }

    fn pick(&self, number: usize) -> Vec<String> {
        let picked = self.shop.products.sample(&mut rand::rng(), number);
        picked.cloned().collect()
    }
}

async fn catalogue(api: &ApiClient) -> anyhow::Result<Vec<String>> {
    let mut products = Vec::new();
    let mut cursor = None;
    while products.len() < CATALOGUE {
        let page = api.list_products(100, cursor.as_deref()).await;
        let page = page.map_err(|error| anyhow::anyhow!("{:?}", error.outcome));
        let page = page.context("reading the catalogue: is the service up, at this --url?")?;
        products.extend(
            page.items
                .into_iter()
                .filter(|one| one.stock > 0)
                .map(|one| one.id),
        );
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if products.len() < LINES {
        bail!(
            "the shop has {} products in stock: run `orderly seed` on its database",
            products.len()
        );
    }
    Ok(products)
}
