//! Customers: they come at a constant rate, whether or not the earlier ones were
//! served. (Ones that wait for each other would spare a slow service the very load
//! that a drill is about: "coordinated omission".)
//!
//! Two of three buy something, the third looks at a product. A buyer is a good client:
//! what was refused for now (409 in progress, 429, 503, 504) or lost on the way is sent
//! again, with the same `Idempotency-Key`, after a wait that grows.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::support::eventually::eventually;
use crate::support::shop::PASSWORD;

const CUSTOMERS: usize = 4;
/// Longer than any deadline of the service: whoever waits for that long was forgotten.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a buyer goes on asking.
const PATIENCE: Duration = Duration::from_secs(40);
/// The longest wait between two tries of one purchase.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// So many good answers in a row are no accident.
const WELL: usize = 20;

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// An answer.
    Status(u16),
    /// No connection, or it broke.
    Broken,
    /// No answer within [`CLIENT_TIMEOUT`].
    Hung,
}

impl Outcome {
    /// Whether the customer got what they asked for.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Broken => f.write_str("broken"),
            Self::Hung => f.write_str("hung"),
        }
    }
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub began: Instant,
    pub ended: Instant,
    /// Which product it was about.
    pub product: usize,
    pub outcome: Outcome,
}

/// What the customers saw.
#[derive(Default)]
pub struct Seen {
    /// Every request, by its end.
    pub attempts: Vec<Attempt>,
    /// The order that each key was told of; none while nobody was told of any.
    pub orders: BTreeMap<String, Option<String>>,
    /// Whether buyers send only once and may go without.
    pub may_give_up: bool,
}

impl Seen {
    /// Nobody saw anything else.
    #[track_caller]
    pub fn only(&self, allowed: &[Outcome]) {
        let other = |attempt: &&Attempt| !allowed.contains(&attempt.outcome);
        let odd: Vec<_> = self.attempts.iter().filter(other).collect();
        assert!(
            odd.is_empty(),
            "{self}, of which {} are not allowed: {:?}",
            odd.len(),
            odd[0]
        );
    }

    /// Nobody waited longer for an answer, whatever it was.
    #[track_caller]
    pub fn nobody_waited_longer_than(&self, limit: Duration) {
        let waits = self
            .attempts
            .iter()
            .map(|attempt| attempt.ended - attempt.began);
        let longest = waits.max().unwrap_or_default();
        assert!(longest <= limit, "somebody waited for {longest:?}");
    }

    /// How many had that outcome since then.
    pub fn count_since(&self, since: Instant, outcome: Outcome) -> usize {
        let attempts = self.attempts.iter();
        let counted = attempts.filter(|one| one.ended >= since && one.outcome == outcome);
        counted.count()
    }

    /// When the last bad answer came that was asked for after `since`, and how many
    /// good ones were asked for after it.
    fn well_since(&self, since: Instant) -> (Instant, usize) {
        let asked = || {
            self.attempts
                .iter()
                .filter(|attempt| attempt.began >= since)
        };
        let bad = asked().filter(|attempt| !attempt.outcome.is_good());
        let last_bad = bad.map(|attempt| attempt.ended).max().unwrap_or(since);
        (
            last_bad,
            asked().filter(|attempt| attempt.began > last_bad).count(),
        )
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tally: BTreeMap<Outcome, usize> = BTreeMap::new();
        for attempt in &self.attempts {
            *tally.entry(attempt.outcome).or_default() += 1;
        }
        let parts = tally.iter().map(|(outcome, n)| format!("{outcome} x{n}"));
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}

/// The customers at work.
pub struct Load {
    shop: Arc<Shop>,
    stop: CancellationToken,
    at_work: TaskTracker,
}

struct Shop {
    client: Client,
    targets: Vec<SocketAddr>,
    tokens: Vec<String>,
    products: Vec<Uuid>,
    seen: Mutex<Seen>,
}

impl Load {
    /// Registers the customers and lets them come.
    pub async fn start(targets: Vec<SocketAddr>, products: Vec<Uuid>, per_second: u32) -> Self {
        let mut shop = Shop {
            client: Client::builder().timeout(CLIENT_TIMEOUT).build().unwrap(),
            targets,
            tokens: Vec::new(),
            products,
            seen: Mutex::default(),
        };
        for _ in 0..CUSTOMERS {
            let token = shop.register().await;
            shop.tokens.push(token);
        }
        let load = Self {
            shop: Arc::new(shop),
            stop: CancellationToken::new(),
            at_work: TaskTracker::new(),
        };
        load.more(per_second);
        load
    }

    /// Lets so many more come in each second.
    pub fn more(&self, per_second: u32) {
        let (shop, stop, at_work) = (
            Arc::clone(&self.shop),
            self.stop.clone(),
            self.at_work.clone(),
        );
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
    }

    /// From now on nobody sends anything twice: the rate is what arrives.
    pub fn nobody_tries_again(&self) {
        self.shop.seen().may_give_up = true;
    }

    /// Waits until the answers are good.
    pub async fn flows(&self) {
        self.well_after(Instant::now()).await;
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

impl Shop {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn url(&self, number: usize, path: &str) -> String {
        format!("http://{}{path}", self.targets[number % self.targets.len()])
    }

    async fn register(&self) -> String {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let user = json!({"email": email, "password": PASSWORD, "name": "Customer"});
        let post = |path, body: &Value| self.client.post(self.url(0, path)).json(body).send();
        let registered = post("/v1/users", &user).await.unwrap();
        assert_eq!(registered.status(), 201);
        let who = json!({"email": email, "password": PASSWORD});
        let session = post("/v1/sessions", &who).await.unwrap();
        let session: Value = session.json().await.unwrap();
        session["access_token"].as_str().unwrap().to_owned()
    }

    async fn serve(&self, number: usize) {
        if number % 3 == 2 {
            let product = number % self.products.len();
            let path = format!("/v1/products/{}", self.products[product]);
            let request = self.client.get(self.url(number, &path));
            self.attempt(product, request).await;
        } else {
            self.buy(number).await;
        }
    }

    async fn buy(&self, number: usize) {
        let key = Uuid::now_v7().to_string();
        let product = number % self.products.len();
        let body = json!({"lines": [{"product_id": self.products[product], "quantity": 1}]});
        self.seen().orders.insert(key.clone(), None);
        let began = Instant::now();
        let mut wait = Duration::from_millis(200);
        for attempt in 0.. {
            let request = self
                .client
                .post(self.url(number + attempt, "/v1/orders"))
                .bearer_auth(&self.tokens[number % CUSTOMERS])
                .header("idempotency-key", &key)
                .json(&body);
            let (outcome, answer) = self.attempt(product, request).await;
            if outcome == Outcome::Status(201) {
                let order = answer["id"].as_str().unwrap().to_owned();
                self.seen().orders.insert(key, Some(order));
                return;
            }
            let again = matches!(
                outcome,
                Outcome::Broken | Outcome::Hung | Outcome::Status(409 | 429 | 503 | 504)
            );
            if !again || self.seen().may_give_up || began.elapsed() > PATIENCE {
                return;
            }
            tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn attempt(&self, product: usize, request: RequestBuilder) -> (Outcome, Value) {
        let began = Instant::now();
        let exchange = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        };
        let (outcome, body) = match exchange.await {
            Ok((status, body)) => (Outcome::Status(status), body),
            Err(error) if error.is_timeout() => (Outcome::Hung, String::new()),
            Err(_) => (Outcome::Broken, String::new()),
        };
        self.seen().attempts.push(Attempt {
            began,
            ended: Instant::now(),
            product,
            outcome,
        });
        (outcome, serde_json::from_str(&body).unwrap_or_default())
    }
}
