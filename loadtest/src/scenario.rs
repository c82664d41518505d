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
use crate::recorder::{Endpoint, Recorder};
use crate::virtual_users::VirtualUsers;

/// Products to choose from.
const MAX_PRODUCTS: usize = 1000;
/// Lines of an order, at most.
const MAX_ORDER_LINES: usize = 3;
/// The waits between two looks at an order.
const FIRST_POLL_DELAY: Duration = Duration::from_millis(50);
const MAX_POLL_DELAY: Duration = Duration::from_secs(1);

/// A way to visit the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// List products, view one, place an order, and poll until it is paid
    Buy,
    /// List products and view three, without an account
    Browse,
}

/// Where the customers go.
pub struct ScenarioRunner {
    api: ApiClient,
    scenario: Scenario,
    virtual_users: Option<VirtualUsers>,
    products: Vec<String>,
    payment_timeout: Duration,
}

impl ScenarioRunner {
    /// Registers the customers that the scenario needs and reads the catalogue.
    pub async fn set_up(
        api: ApiClient,
        scenario: Scenario,
        virtual_users: usize,
        payment_timeout: Duration,
    ) -> anyhow::Result<Self> {
        let products = list_product_ids(&api).await?;
        let virtual_users = match scenario {
            Scenario::Buy => Some(VirtualUsers::register(&api, virtual_users).await?),
            Scenario::Browse => None,
        };
        Ok(Self {
            api,
            scenario,
            virtual_users,
            products,
            payment_timeout,
        })
    }

    /// One visit, by a customer who should have come at `due`.
    pub async fn run_iteration(&self, number: u64, due: Instant, recorder: &Recorder) {
        recorder.record_start_delay(due, due.elapsed());
        let iteration = Iteration {
            runner: self,
            recorder,
            due,
            is_first_request: true,
        };
        let outcome = match self.scenario {
            Scenario::Buy => iteration.buy(number).await,
            Scenario::Browse => iteration.browse().await,
        };
        let outcome = outcome.err().unwrap_or(RequestOutcome::Succeeded);
        recorder.record_iteration(due, due.elapsed(), &outcome);
    }
}

struct Iteration<'a> {
    runner: &'a ScenarioRunner,
    recorder: &'a Recorder,
    due: Instant,
    is_first_request: bool,
}

impl Iteration<'_> {
    async fn browse(mut self) -> Result<(), RequestOutcome> {
        let api = &self.runner.api;
        self.send(Endpoint::ListProducts, api.list_products(20, None))
            .await?;
        for product in self.pick_products(3) {
            self.send(Endpoint::GetProduct, api.get_product(&product))
                .await?;
        }
        Ok(())
    }

    async fn buy(mut self, number: u64) -> Result<(), RequestOutcome> {
        let (api, runner) = (&self.runner.api, self.runner);
        self.send(Endpoint::ListProducts, api.list_products(20, None))
            .await?;
        let basket =
            self.pick_products(1 + usize::try_from(number).unwrap_or_default() % MAX_ORDER_LINES);
        for product in basket.iter().take(1) {
            self.send(Endpoint::GetProduct, api.get_product(product))
                .await?;
        }
        let Some(virtual_users) = &runner.virtual_users else {
            return Err(RequestOutcome::Failed(
                "no virtual users were registered".to_owned(),
            ));
        };
        let token = virtual_users
            .token(number)
            .await
            .map_err(|error| error.outcome)?;
        let key = Uuid::now_v7().to_string();
        let placing = api.place_order(&token, &key, &basket);
        let order = self.send(Endpoint::PlaceOrder, placing).await?;
        self.wait_until_paid(&token, &order.id).await
    }

    async fn wait_until_paid(&mut self, token: &str, order: &str) -> Result<(), RequestOutcome> {
        let (placed_at, mut delay) = (Instant::now(), FIRST_POLL_DELAY);
        while placed_at.elapsed() < self.runner.payment_timeout {
            sleep(delay).await;
            delay = (delay * 2).min(MAX_POLL_DELAY);
            let polling = self.runner.api.get_order(token, order);
            let order = self.send(Endpoint::GetOrder, polling).await?;
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
    async fn send<T>(
        &mut self,
        endpoint: Endpoint,
        request: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestOutcome> {
        let started_at = if self.is_first_request {
            self.due
        } else {
            Instant::now()
        };
        self.is_first_request = false;
        let result = request.await.map_err(|error| error.outcome);
        let outcome = result.as_ref().err().unwrap_or(&RequestOutcome::Succeeded);
        let took = started_at.elapsed();
        self.recorder
            .record_request(self.due, endpoint, took, outcome);
        result
    }

    fn pick_products(&self, number: usize) -> Vec<String> {
        let picked = self.runner.products.sample(&mut rand::rng(), number);
        picked.cloned().collect()
    }
}

async fn list_product_ids(api: &ApiClient) -> anyhow::Result<Vec<String>> {
    let mut products = Vec::new();
    let mut cursor = None;
    while products.len() < MAX_PRODUCTS {
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
    if products.len() < MAX_ORDER_LINES {
        bail!(
            "the catalogue has {} products in stock: run `orderly seed` on its database",
            products.len()
        );
    }
    Ok(products)
}
