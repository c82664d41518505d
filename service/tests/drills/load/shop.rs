//! What one customer does.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::seen::{Attempt, Errand, Outcome, Seen};
use crate::support::shop::PASSWORD;

const CUSTOMERS: usize = 4;
/// Longer than any deadline of the service: whoever waits for that long was forgotten.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a buyer goes on asking.
const PATIENCE: Duration = Duration::from_secs(40);
/// The longest wait between two tries of one purchase.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Where they all go, and what they saw there.
pub struct Shop {
    pub tokens: Vec<String>,
    pub products: Vec<Uuid>,
    client: Client,
    targets: Vec<SocketAddr>,
    seen: Mutex<Seen>,
}

impl Shop {
    /// Registers the customers.
    pub async fn open(targets: Vec<SocketAddr>, products: Vec<Uuid>) -> Self {
        let mut shop = Self {
            tokens: Vec::new(),
            products,
            client: Client::builder().timeout(CLIENT_TIMEOUT).build().unwrap(),
            targets,
            seen: Mutex::default(),
        };
        for _ in 0..CUSTOMERS {
            let token = shop.register().await;
            shop.tokens.push(token);
        }
        shop
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn url(&self, number: usize, path: &str) -> String {
        format!("http://{}{path}", self.targets[number % self.targets.len()])
    }

    /// One more customer, by the access token.
    pub async fn register(&self) -> String {
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

    /// The errand of the customer with that number.
    pub async fn serve(&self, number: usize) {
        if number % 3 == 2 {
            let product = number % self.products.len();
            let path = format!("/v1/products/{}", self.products[product]);
            let request = self.client.get(self.url(number, &path));
            self.attempt(Errand::Look, product, request).await;
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
            let (outcome, answer) = self.attempt(Errand::Buy, product, request).await;
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

    async fn attempt(
        &self,
        errand: Errand,
        product: usize,
        request: RequestBuilder,
    ) -> (Outcome, Value) {
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
            errand,
            product,
            outcome,
        });
        (outcome, serde_json::from_str(&body).unwrap_or_default())
    }
}
