//! The customers of one run: registered for it, so that runs do not meet each other's quotas,
//! carts or orders, and two can run at once.

use std::time::Duration;

use anyhow::bail;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::api::{ApiClient, RequestError, RequestOutcome};
use crate::say;

/// A token is renewed so long before it ends.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// How long the setup is patient with a service that refuses for now.
const PATIENCE: Duration = Duration::from_secs(180);

/// All customers of a run.
pub struct Customers {
    api: ApiClient,
    customers: Vec<Customer>,
}

struct Customer {
    email: String,
    password: String,
    session: Mutex<Option<Held>>,
}

struct Held {
    token: String,
    renew_at: Instant,
}

impl Customers {
    /// Registers so many, and logs them in.
    pub async fn register(api: &ApiClient, number: usize) -> anyhow::Result<Self> {
        let run = Uuid::now_v7().simple();
        let mut customers = Vec::with_capacity(number);
        for number in 0..number {
            let customer = Customer {
                email: format!("load-{run}-{number}@example.com"),
                password: format!("load-test-{}", Uuid::new_v4().simple()),
                session: Mutex::new(None),
            };
            let Customer {
                email, password, ..
            } = &customer;
            patiently("registering", async || api.register(email, password).await).await?;
            patiently("logging in", async || customer.log_in(api).await).await?;
            customers.push(customer);
        }
        let api = api.clone();
        Ok(Self { api, customers })
    }

    /// An access token of a customer; they take turns.
    pub async fn token(&self, number: u64) -> Result<String, RequestError> {
        let index = usize::try_from(number).unwrap_or_default() % self.customers.len();
        let customer = &self.customers[index];
        if let Some(held) = &*customer.session.lock().await
            && Instant::now() < held.renew_at
        {
            return Ok(held.token.clone());
        }
        customer.log_in(&self.api).await
    }
}

impl Customer {
    async fn log_in(&self, api: &ApiClient) -> Result<String, RequestError> {
        let mut held = self.session.lock().await;
        let session = api.log_in(&self.email, &self.password).await?;
        let lifetime = Duration::from_secs(session.expires_in).saturating_sub(RENEW_BEFORE);
        *held = Some(Held {
            token: session.access_token.clone(),
            renew_at: Instant::now() + lifetime,
        });
        Ok(session.access_token)
    }
}

/// Does it again for as long as the service says to come back later.
async fn patiently<T>(
    what: &str,
    ask: impl AsyncFn() -> Result<T, RequestError>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(RequestError {
                outcome: RequestOutcome::RateLimited | RequestOutcome::Shed,
                retry_after,
            }) if began.elapsed() < PATIENCE => {
                let wait = retry_after.unwrap_or(Duration::from_secs(1));
                say(&format!(
                    "{what} customers is refused for now: waiting {} s (fewer --customers, or a higher rate_limit, spare this)",
                    wait.as_secs()
                ));
                sleep(wait).await;
            }
            Err(error) => bail!("{what} a customer: {:?}", error.outcome),
        }
    }
}
