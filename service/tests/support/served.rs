//! `orderly serve` as a process, with the seeded shop in its database, and a client for it.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::app::send;
use super::database::TestDatabase;
use super::eventually::eventually;
use super::process::{Orderly, Process};

/// A service that is ready.
pub struct Served {
    pub process: Process,
    pub url: String,
    pub admin_port: u16,
    pub client: Client,
}

/// A database with the demo users and products.
pub async fn seeded_database() -> TestDatabase {
    let database = TestDatabase::new().await;
    Orderly::on(&database).succeed(&["seed"]).await;
    database
}

/// Starts `orderly sandbox-gateway` and returns it with its URL.
pub async fn gateway(orderly: &Orderly, arguments: &[&str]) -> (Process, String) {
    let process = orderly.start(&[&["sandbox-gateway"], arguments].concat());
    let ready = process.logged("the sandbox gateway is ready").await;
    let url = format!("http://{}", ready["address"].as_str().unwrap());
    (process, url)
}

impl Served {
    /// Starts the service and waits until it says that it is ready.
    pub async fn start(orderly: &Orderly) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        Self::start_at("http", client, orderly).await
    }

    /// The same for one that is spoken to in another way.
    pub async fn start_at(scheme: &str, client: Client, orderly: &Orderly) -> Self {
        Self::of(scheme, client, orderly.start(&["serve"])).await
    }

    /// Waits until a process says that it is ready.
    pub async fn of(scheme: &str, client: Client, process: Process) -> Self {
        let ready = process.logged("ready").await;
        let (_, admin_port) = ready["admin_address"]
            .as_str()
            .and_then(|address| address.rsplit_once(':'))
            .unwrap();
        Self {
            url: format!("{scheme}://{}", ready["address"].as_str().unwrap()),
            admin_port: admin_port.parse().unwrap(),
            process,
            client,
        }
    }

    /// A request to the API, to be added to.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// `GET`, with an access token if it is not empty.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        send(self.request(Method::GET, path), token).await
    }

    /// Logs in as the demo customer.
    pub async fn customer(&self) -> String {
        self.log_in("customer@example.com", "orderly-demo-customer")
            .await
    }

    /// Logs in and returns the access token.
    pub async fn log_in(&self, email: &str, password: &str) -> String {
        let body = json!({"email": email, "password": password});
        let request = self.request(Method::POST, "/v1/sessions").json(&body);
        let session = send(request, "").await.expect(201);
        session["access_token"].as_str().unwrap().to_owned()
    }

    /// The first product.
    pub async fn product(&self) -> Value {
        let page = self.get("/v1/products?limit=1", "").await.expect(200);
        page["items"][0].clone()
    }

    /// A request that orders one piece.
    pub fn order_request(&self, token: &str, product: &Value) -> RequestBuilder {
        self.request(Method::POST, "/v1/orders")
            .bearer_auth(token)
            .header("idempotency-key", Uuid::now_v7().to_string())
            .json(&json!({"lines": [{"product_id": product["id"], "quantity": 1}]}))
    }

    /// Orders one piece.
    pub async fn order(&self, token: &str, product: &Value) -> Value {
        let request = self.order_request(token, product);
        send(request, "").await.expect(201)
    }

    /// Waits until the order has come to that status.
    pub async fn order_reaches(&self, token: &str, order: &Value, status: &str) {
        let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
        let reached = async || {
            let order = self.get(&path, token).await.expect(200);
            (order["status"] == status).then_some(())
        };
        eventually(&format!("the order is {status}"), reached).await;
    }

    /// Stops it with a signal; see [`Self::stopped`].
    pub async fn stop(self, signal: &str) -> Vec<Value> {
        self.process.signal(signal);
        self.stopped().await
    }

    /// Waits for the end of one that was told to stop: it must end with 0 and have had nothing to
    /// complain about. Returns its log.
    pub async fn stopped(self) -> Vec<Value> {
        let ended = self.process.ended().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let lines = ended.stdout.lines();
        let parse = |line: &str| serde_json::from_str(line).unwrap();
        lines.map(parse).collect()
    }
}
