//! The virtual users of one run: registered for it, so that runs do not meet each other's quotas,
//! carts or orders, and two can run at once.

use std::time::Duration;

use anyhow::bail;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::api::{ApiClient, RequestError, RequestOutcome};
use crate::log_progress;

/// A token is renewed so long before it ends.
const REFRESH_MARGIN: Duration = Duration::from_secs(60);
/// How long the setup is patient with a service that refuses for now.
const SETUP_TIMEOUT: Duration = Duration::from_secs(180);

/// All virtual users of a run.
pub struct VirtualUsers {
    api: ApiClient,
    users: Vec<VirtualUser>,
}

struct VirtualUser {
    email: String,
    password: String,
    token: Mutex<Option<CachedToken>>,
}

struct CachedToken {
    token: String,
    refresh_at: Instant,
}

impl VirtualUsers {
    /// Registers so many, and logs them in.
    pub async fn register(api: &ApiClient, count: usize) -> anyhow::Result<Self> {
        let run = Uuid::now_v7().simple();
        let mut users = Vec::with_capacity(count);
        for number in 0..count {
            let user = VirtualUser {
                email: format!("load-{run}-{number}@example.com"),
                password: format!("load-test-{}", Uuid::new_v4().simple()),
                token: Mutex::new(None),
            };
            let VirtualUser {
                email, password, ..
            } = &user;
            retry_while_limited("registering", async || api.register(email, password).await)
                .await?;
            retry_while_limited("logging in", async || user.log_in(api).await).await?;
            users.push(user);
        }
        let api = api.clone();
        Ok(Self { api, users })
    }

    /// An access token of a virtual user; they take turns.
    pub async fn token(&self, number: u64) -> Result<String, RequestError> {
        let index = usize::try_from(number).unwrap_or_default() % self.users.len();
        let user = &self.users[index];
        if let Some(cached) = &*user.token.lock().await
            && Instant::now() < cached.refresh_at
        {
            return Ok(cached.token.clone());
        }
        user.log_in(&self.api).await
    }
}

impl VirtualUser {
    async fn log_in(&self, api: &ApiClient) -> Result<String, RequestError> {
        let mut cached = self.token.lock().await;
        let session = api.log_in(&self.email, &self.password).await?;
        let lifetime = Duration::from_secs(session.expires_in).saturating_sub(REFRESH_MARGIN);
        *cached = Some(CachedToken {
            token: session.access_token.clone(),
            refresh_at: Instant::now() + lifetime,
        });
        Ok(session.access_token)
    }
}

/// Does it again for as long as the service says to come back later.
async fn retry_while_limited<T>(
    action: &str,
    request: impl AsyncFn() -> Result<T, RequestError>,
) -> anyhow::Result<T> {
    let started_at = Instant::now();
    loop {
        match request().await {
            Ok(response) => return Ok(response),
            Err(RequestError {
                outcome: RequestOutcome::RateLimited | RequestOutcome::Shed,
                retry_after,
            }) if started_at.elapsed() < SETUP_TIMEOUT => {
                let wait = retry_after.unwrap_or(Duration::from_secs(1));
                log_progress(&format!(
                    "{action} virtual users is rate limited: waiting {} s (fewer --virtual-users, or a higher rate_limit, spare this)",
                    wait.as_secs()
                ));
                sleep(wait).await;
            }
            Err(error) => bail!("{action} a virtual user: {:?}", error.outcome),
        }
    }
}
