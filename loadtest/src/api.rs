//! The service, as a customer's program sees it.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOutcome {
    /// What was asked for.
    Succeeded,
    /// 503 `overloaded`: the service protects itself.
    Shed,
    /// 429: the customer has used up a quota.
    RateLimited,
    /// Anything else, and what it was.
    Failed(String),
}

/// A request that did not get what it asked for.
#[derive(Debug)]
pub struct RequestError {
    /// Kind of the failure.
    pub outcome: RequestOutcome,
    /// When to come back, if the service says so.
    pub retry_after: Option<Duration>,
}

/// A client of one service. Clones share its connections.
#[derive(Clone)]
pub struct ApiClient {
    client: Client,
    base_url: String,
}

#[derive(Deserialize)]
pub struct ApiSession {
    pub access_token: String,
    /// In seconds.
    pub expires_in: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ApiProduct {
    pub id: String,
    pub stock: i64,
}

#[derive(Deserialize)]
pub struct ApiProductPage {
    pub items: Vec<ApiProduct>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
pub struct ApiOrder {
    pub id: String,
    pub status: String,
}

impl ApiClient {
    /// For the service at `base_url`; no answer may take longer than `timeout`.
    pub fn new(base_url: &str, timeout: Duration) -> reqwest::Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .timeout(timeout)
            .user_agent("orderly-loadtest")
            .build()?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self { client, base_url })
    }

    pub async fn register(&self, email: &str, password: &str) -> Result<Value, RequestError> {
        let user = json!({"email": email, "password": password, "name": "Load test"});
        send(self.client.post(self.url("/v1/users")).json(&user)).await
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Result<ApiSession, RequestError> {
        let credentials = json!({"email": email, "password": password});
        send(
            self.client
                .post(self.url("/v1/sessions"))
                .json(&credentials),
        )
        .await
    }

    pub async fn list_products(
        &self,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<ApiProductPage, RequestError> {
        let request = self.client.get(self.url("/v1/products"));
        send(request.query(&[
            ("limit", Some(limit.to_string().as_str())),
            ("cursor", cursor),
        ]))
        .await
    }

    pub async fn get_product(&self, id: &str) -> Result<ApiProduct, RequestError> {
        send(self.client.get(self.url(&format!("/v1/products/{id}")))).await
    }

    /// Orders one piece of each product.
    pub async fn place_order(
        &self,
        token: &str,
        key: &str,
        products: &[String],
    ) -> Result<ApiOrder, RequestError> {
        let line = |id: &String| json!({"product_id": id, "quantity": 1});
        let lines: Vec<Value> = products.iter().map(line).collect();
        let request = self.client.post(self.url("/v1/orders")).bearer_auth(token);
        send(
            request
                .header("idempotency-key", key)
                .json(&json!({"lines": lines})),
        )
        .await
    }

    pub async fn get_order(&self, token: &str, id: &str) -> Result<ApiOrder, RequestError> {
        let url = self.url(&format!("/v1/orders/{id}"));
        send(self.client.get(url).bearer_auth(token)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }
}

async fn send<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, RequestError> {
    let round_trip = async {
        let response = request.send().await?;
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = seconds.map(Duration::from_secs);
        Ok::<_, reqwest::Error>((response.status(), retry_after, response.bytes().await?))
    };
    let (status, retry_after, body) = round_trip.await.map_err(|error| RequestError {
        outcome: RequestOutcome::Failed(describe_error(&error).to_owned()),
        retry_after: None,
    })?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| RequestError {
            outcome: RequestOutcome::Failed(format!("invalid response body: {error}")),
            retry_after: None,
        });
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let problem_type = problem["type"]
        .as_str()
        .and_then(|uri| uri.rsplit('/').next());
    let outcome = match (status.as_u16(), problem_type) {
        (503, Some("overloaded")) => RequestOutcome::Shed,
        (429, _) => RequestOutcome::RateLimited,
        (status, problem_type) => RequestOutcome::Failed(format!(
            "{status} {}",
            problem_type.unwrap_or("without a problem")
        )),
    };
    Err(RequestError {
        outcome,
        retry_after,
    })
}

/// In a few words that do not differ from one request to the next.
fn describe_error(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect failed"
    } else {
        "connection lost"
    }
}
