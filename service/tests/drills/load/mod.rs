//! Customers: they come at a constant rate, whether or not the earlier ones were
//! served. (Ones that wait for each other would spare a slow service the very load
//! that a drill is about: "coordinated omission".)
//!
//! Two of three buy something, the third looks at a product. A buyer is a good client:
//! what was refused for now (409 in progress, 429, 503, 504) or lost on the way is sent
//! again, with the same `Idempotency-Key`, after a wait that grows.

mod seen;
mod shop;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::support::eventually::eventually;
pub use seen::{Attempt, Outcome, Seen};
use shop::Shop;

/// So many good answers in a row are no accident.
const WELL: usize = 20;

/// The customers at work.
pub struct Load {
    shop: Arc<Shop>,
    stop: CancellationToken,
    at_work: TaskTracker,
}

impl Load {
    /// Registers the customers and lets them come.
    pub async fn start(targets: Vec<SocketAddr>, products: Vec<Uuid>, per_second: u32) -> Self {
        let shop = Shop::open(targets, products).await;
        let load = Self {
            shop: Arc::new(shop),
            stop: CancellationToken::new(),
            at_work: TaskTracker::new(),
        };
        load.more(per_second);
        load
    }

    /// Lets so many more come in each second, until what it returns is cancelled.
    pub fn more(&self, per_second: u32) -> CancellationToken {
        let enough = self.stop.child_token();
        let (shop, stop, at_work) = (Arc::clone(&self.shop), enough.clone(), self.at_work.clone());
        self.at_work.spawn(async move {
            let mut arrivals = tokio::time::interval(Duration::from_secs(1) / per_second);
            arrivals.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for number in 0.. {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = arrivals.tick() => {}
                }
                let shop = Arc::clone(&shop);
                at_work.spawn(async move { shop.serve(number).await });
            }
        });
        enough
    }

    /// From now on nobody sends anything twice: the rate is what arrives.
    pub fn nobody_tries_again(&self) {
        self.shop.seen().may_give_up = true;
    }

    /// Waits until the answers are good.
    pub async fn flows(&self) {
        self.well_after(Instant::now()).await;
    }

    /// Waits until somebody has seen each of the products.
    pub async fn everything_was_looked_at(&self) {
        eventually("every product was looked at", async || {
            let all = self.shop.products.len();
            (self.shop.seen().looked_at().len() == all).then_some(())
        })
        .await;
    }

    /// Waits until all is well after what happened at `since`, and says how long that
    /// took: until the last bad answer.
    pub async fn well_after(&self, since: Instant) -> Duration {
        eventually("all is well", async || {
            let (last_bad, good) = self.shop.seen().well_since(since);
            (good >= WELL).then(|| last_bad - since)
        })
        .await
    }

    /// The same, and it must not take longer than `bound`.
    pub async fn well_within(&self, bound: Duration, since: Instant) -> Duration {
        let took = self.well_after(since).await;
        assert!(took <= bound, "it took {took:?} until all was well");
        took
    }

    /// The access token of one of them.
    pub fn token(&self) -> &str {
        &self.shop.tokens[0]
    }

    /// The access token of somebody who is none of them.
    pub async fn stranger(&self) -> String {
        self.shop.register().await
    }

    /// Looks at what was seen up to now.
    pub fn so_far<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shop.seen())
    }

    /// Lets nobody in any more, waits until everybody has what they came for, and says
    /// what they saw.
    pub async fn stop(self) -> Seen {
        self.stop.cancel();
        self.at_work.close();
        self.at_work.wait().await;
        std::mem::take(&mut *self.shop.seen())
    }
}
