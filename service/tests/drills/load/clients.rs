//! The clients of a drill: what each of them sends, and when it retries.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::results::{Action, Attempt, AttemptOutcome, LoadResults};
use crate::support::fixtures::PASSWORD;

const CLIENT_COUNT: usize = 4;
/// Longer than any deadline of the service: whoever waits for that long was forgotten.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a buyer goes on asking.
const RETRY_PERIOD: Duration = Duration::from_secs(40);
/// The longest wait between two tries of one purchase.
const MAX_BACKOFF: Duration = Duration::from_secs(3);

/// Where they all go, and what they saw there.
pub struct DrillClients {
    pub tokens: Vec<String>,
    pub products: Vec<Uuid>,
    client: Client,
    targets: Vec<SocketAddr>,
    results: Mutex<LoadResults>,
}

impl DrillClients {
    /// Registers the clients.
    pub async fn start(targets: Vec<SocketAddr>, products: Vec<Uuid>) -> Self {
        let mut clients = Self {
            tokens: Vec::new(),
            products,
            client: Client::builder().timeout(CLIENT_TIMEOUT).build().unwrap(),
            targets,
            results: Mutex::default(),
        };
        for _ in 0..CLIENT_COUNT {
            let token = clients.register().await;
            clients.tokens.push(token);
        }
        clients
    }

    pub fn results(&self) -> MutexGuard<'_, LoadResults> {
        self.results.lock().unwrap()
    }

    fn url(&self, number: usize, path: &str) -> String {
        format!("http://{}{path}", self.targets[number % self.targets.len()])
    }

    /// Registers one more client and returns its access token.
    pub async fn register(&self) -> String {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let user = json!({"email": email, "password": PASSWORD, "name": "Customer"});
        let post = |path, body: &Value| self.client.post(self.url(0, path)).json(body).send();
        let registered = post("/v1/users", &user).await.unwrap();
        assert_eq!(registered.status(), 201);
        let credentials = json!({"email": email, "password": PASSWORD});
        let session = post("/v1/sessions", &credentials).await.unwrap();
        let session: Value = session.json().await.unwrap();
        session["access_token"].as_str().unwrap().to_owned()
    }

    /// Runs one iteration: two of three place an order, the third views a product.
    pub async fn run_iteration(&self, number: usize) {
        if number % 3 == 2 {
            let product = number % self.products.len();
            let path = format!("/v1/products/{}", self.products[product]);
            let request = self.client.get(self.url(number, &path));
            self.attempt(Action::ViewProduct, product, request).await;
        } else {
            self.place_order(number).await;
        }
    }

    async fn place_order(&self, number: usize) {
        let key = Uuid::now_v7().to_string();
        let product = number % self.products.len();
        let body = json!({"lines": [{"product_id": self.products[product], "quantity": 1}]});
        self.results().orders.insert(key.clone(), None);
        let began = Instant::now();
        let mut backoff = Duration::from_millis(200);
        for attempt in 0.. {
            let request = self
                .client
                .post(self.url(number + attempt, "/v1/orders"))
                .bearer_auth(&self.tokens[number % CLIENT_COUNT])
                .header("idempotency-key", &key)
                .json(&body);
            let (outcome, response) = self.attempt(Action::PlaceOrder, product, request).await;
            if outcome == AttemptOutcome::Status(201) {
                let order = response["id"].as_str().unwrap().to_owned();
                self.results().orders.insert(key, Some(order));
                return;
            }
            let is_retryable = matches!(
                outcome,
                AttemptOutcome::ConnectionFailed
                    | AttemptOutcome::TimedOut
                    | AttemptOutcome::Status(409 | 429 | 503 | 504)
            );
            if !is_retryable || self.results().retries_disabled || began.elapsed() > RETRY_PERIOD {
                return;
            }
            tokio::time::sleep(backoff.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    async fn attempt(
        &self,
        action: Action,
        product: usize,
        request: RequestBuilder,
    ) -> (AttemptOutcome, Value) {
        let began = Instant::now();
        let exchange = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.text().await?))
        };
        let (outcome, body) = match exchange.await {
            Ok((status, body)) => (AttemptOutcome::Status(status), body),
            Err(error) if error.is_timeout() => (AttemptOutcome::TimedOut, String::new()),
            Err(_) => (AttemptOutcome::ConnectionFailed, String::new()),
        };
        self.results().attempts.push(Attempt {
            began,
            ended: Instant::now(),
            action,
            product,
            outcome,
        });
        (outcome, serde_json::from_str(&body).unwrap_or_default())
    }
}
