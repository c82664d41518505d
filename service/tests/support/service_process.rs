//! `orderly serve` as a process, with the seeded shop in its database, and a client for it.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;
use xtask::process::Signal;

use super::app::send;
use super::database::TestDatabase;
use super::eventually::eventually;
use super::process::{ChildProcess, OrderlyCommand};
use super::response::TestResponse;

/// A service that is ready.
pub struct ServiceProcess {
    pub process: ChildProcess,
    pub url: String,
    pub admin_port: u16,
    pub client: Client,
}

/// A database with the demo users and products.
pub async fn seeded_database() -> TestDatabase {
    let database = TestDatabase::new().await;
    OrderlyCommand::with_database(&database)
        .succeed(&["seed"])
        .await;
    database
}

impl ServiceProcess {
    /// Starts the service and waits until it says that it is ready.
    pub async fn start(orderly: &OrderlyCommand) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        Self::start_with_client("http", client, orderly).await
    }

    /// The same for one that is spoken to in another way.
    pub async fn start_with_client(scheme: &str, client: Client, orderly: &OrderlyCommand) -> Self {
        Self::from_process(scheme, client, orderly.start(&["serve"])).await
    }

    /// Waits until a process says that it is ready.
    pub async fn from_process(scheme: &str, client: Client, process: ChildProcess) -> Self {
        let ready = process.wait_for_log("ready").await;
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
    pub async fn get(&self, path: &str, token: &str) -> TestResponse {
        send(self.request(Method::GET, path), token).await
    }

    /// Logs in as the demo customer.
    pub async fn log_in_as_customer(&self) -> String {
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
    pub async fn first_product(&self) -> Value {
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
    pub async fn place_order(&self, token: &str, product: &Value) -> Value {
        let request = self.order_request(token, product);
        send(request, "").await.expect(201)
    }

    /// Waits until the order has come to that status.
    pub async fn wait_for_order_status(&self, token: &str, order: &Value, status: &str) {
        let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
        let reached = async || {
            let order = self.get(&path, token).await.expect(200);
            (order["status"] == status).then_some(())
        };
        eventually(&format!("the order is {status}"), reached).await;
    }

    /// Stops it with a signal; see [`Self::stopped`].
    pub async fn stop(self, signal: Signal) -> Vec<Value> {
        self.process.signal(signal);
        self.wait_for_exit().await
    }

    /// Waits for the end of one that was told to stop: it must end with 0 and have had nothing to
    /// complain about. Returns its log.
    pub async fn wait_for_exit(self) -> Vec<Value> {
        let ended = self.process.wait().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let lines = ended.stdout.lines();
        let parse = |line: &str| serde_json::from_str(line).unwrap();
        lines.map(parse).collect()
    }
}
