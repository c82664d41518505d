//! Clients: they come at a constant rate, whether or not the earlier ones were
//! served. (Ones that wait for each other would spare a slow service the very load
//! that a drill is about: "coordinated omission".)
//!
//! Two of three buy something, the third looks at a product. A buyer is a good client:
//! what was refused for now (409 in progress, 429, 503, 504) or lost on the way is sent
//! again, with the same `Idempotency-Key`, after a wait that grows.

mod clients;
mod results;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::support::eventually::eventually;
use clients::DrillClients;
pub use results::{Attempt, AttemptOutcome, LoadResults};

/// So many good answers in a row are no accident.
const RECOVERED_AFTER: usize = 20;

/// A load at a constant arrival rate.
pub struct LoadGenerator {
    clients: Arc<DrillClients>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl LoadGenerator {
    /// Registers the clients and starts the load.
    pub async fn start(targets: Vec<SocketAddr>, products: Vec<Uuid>, per_second: u32) -> Self {
        let clients = DrillClients::start(targets, products).await;
        let load = Self {
            clients: Arc::new(clients),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        load.add_rate(per_second);
        load
    }

    /// Lets so many more come in each second, until what it returns is cancelled.
    pub fn add_rate(&self, per_second: u32) -> CancellationToken {
        let cancellation = self.stop.child_token();
        let (clients, stop, tasks) = (
            Arc::clone(&self.clients),
            cancellation.clone(),
            self.tasks.clone(),
        );
        self.tasks.spawn(async move {
            let mut arrivals = tokio::time::interval(Duration::from_secs(1) / per_second);
            arrivals.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for number in 0.. {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = arrivals.tick() => {}
                }
                let clients = Arc::clone(&clients);
                tasks.spawn(async move { clients.run_iteration(number).await });
            }
        });
        cancellation
    }

    /// From now on nobody sends anything twice: the rate is what arrives.
    pub fn disable_retries(&self) {
        self.clients.results().retries_disabled = true;
    }

    /// Waits until the answers are good.
    pub async fn wait_until_healthy(&self) {
        self.wait_for_recovery(Instant::now()).await;
    }

    /// Waits until somebody has seen each of the products.
    pub async fn wait_until_all_viewed(&self) {
        eventually("every product was looked at", async || {
            let all = self.clients.products.len();
            (self.clients.results().viewed_products().len() == all).then_some(())
        })
        .await;
    }

    /// Waits until all is well after what happened at `since`, and says how long that
    /// took: until the last bad answer.
    pub async fn wait_for_recovery(&self, since: Instant) -> Duration {
        eventually("all is well", async || {
            let (last_bad, good) = self.clients.results().recovery_since(since);
            (good >= RECOVERED_AFTER).then(|| last_bad - since)
        })
        .await
    }

    /// The same, and it must not take longer than `bound`.
    pub async fn assert_recovery_within(&self, bound: Duration, since: Instant) -> Duration {
        let duration = self.wait_for_recovery(since).await;
        assert!(duration <= bound, "it took {duration:?} until all was well");
        duration
    }

    /// The access token of one of them.
    pub fn token(&self) -> &str {
        &self.clients.tokens[0]
    }

    /// The access token of somebody who is none of them.
    pub async fn register_client(&self) -> String {
        self.clients.register().await
    }

    /// Looks at what was seen up to now.
    pub fn inspect<T>(&self, inspect: impl FnOnce(&LoadResults) -> T) -> T {
        inspect(&self.clients.results())
    }

    /// Lets nobody in any more, waits until everybody has what they came for, and says
    /// what they saw.
    pub async fn stop(self) -> LoadResults {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        std::mem::take(&mut *self.clients.results())
    }
}
