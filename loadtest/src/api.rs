//! The service, as a customer's program sees it.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for.
    Good,
    /// 503 `overloaded`: the service protects itself.
    Shed,
    /// 429: the customer has used up a quota.
    Limited,
    /// Anything else, and what it was.
    Failed(String),
}

/// A request that did not get what it asked for.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub outcome: Outcome,
    /// When to come back, if the service says so.
    pub retry_after: Option<Duration>,
}

/// A client of one service. Clones share its connections.
#[derive(Clone)]
pub struct Api {
    client: Client,
    root: String,
}

#[derive(Deserialize)]
pub struct Session {
    pub access_token: String,
    /// In seconds.
    pub expires_in: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Product {
    pub id: String,
    pub stock: i64,
}

#[derive(Deserialize)]
pub struct Page {
    pub items: Vec<Product>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
pub struct Order {
    pub id: String,
    pub status: String,
}

impl Api {
    /// For the service at `root`; no answer may take longer than `timeout`.
    pub fn new(root: &str, timeout: Duration) -> reqwest::Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .timeout(timeout)
            .user_agent("orderly-loadtest")
            .build()?;
        let root = root.trim_end_matches('/').to_owned();
        Ok(Self { client, root })
    }

    pub async fn register(&self, email: &str, password: &str) -> Result<Value, Refused> {
        let user = json!({"email": email, "password": password, "name": "Load test"});
        read(self.client.post(self.url("/v1/users")).json(&user)).await
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Result<Session, Refused> {
        let who = json!({"email": email, "password": password});
        read(self.client.post(self.url("/v1/sessions")).json(&who)).await
    }

    pub async fn products(&self, limit: u32, cursor: Option<&str>) -> Result<Page, Refused> {
        let request = self.client.get(self.url("/v1/products"));
        read(request.query(&[
            ("limit", Some(limit.to_string().as_str())),
            ("cursor", cursor),
        ]))
        .await
    }

    pub async fn product(&self, id: &str) -> Result<Product, Refused> {
        read(self.client.get(self.url(&format!("/v1/products/{id}")))).await
    }

    /// Orders one piece of each product.
    pub async fn place_order(
        &self,
        token: &str,
        key: &str,
        products: &[String],
    ) -> Result<Order, Refused> {
        let line = |id: &String| json!({"product_id": id, "quantity": 1});
        let lines: Vec<Value> = products.iter().map(line).collect();
        let request = self.client.post(self.url("/v1/orders")).bearer_auth(token);
        read(
            request
                .header("idempotency-key", key)
                .json(&json!({"lines": lines})),
        )
        .await
    }

    pub async fn order(&self, token: &str, id: &str) -> Result<Order, Refused> {
        let url = self.url(&format!("/v1/orders/{id}"));
        read(self.client.get(url).bearer_auth(token)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Refused> {
    let exchange = async {
        let answer = request.send().await?;
        let seconds = answer.headers().get(header::RETRY_AFTER);
        let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = seconds.map(Duration::from_secs);
        Ok::<_, reqwest::Error>((answer.status(), retry_after, answer.bytes().await?))
    };
    let (status, retry_after, body) = exchange.await.map_err(|error| Refused {
        outcome: Outcome::Failed(cause(&error).to_owned()),
        retry_after: None,
    })?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| Refused {
            outcome: Outcome::Failed(format!("an answer that can't be read: {error}")),
            retry_after: None,
        });
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let kind = problem["type"]
        .as_str()
        .and_then(|kind| kind.rsplit('/').next());
    let outcome = match (status.as_u16(), kind) {
        (503, Some("overloaded")) => Outcome::Shed,
        (429, _) => Outcome::Limited,
        (status, kind) => {
            Outcome::Failed(format!("{status} {}", kind.unwrap_or("without a problem")))
        }
    };
    Err(Refused {
        outcome,
        retry_after,
    })
}

/// In a few words that do not differ from one request to the next.
fn cause(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}
