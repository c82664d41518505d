//! Fixtures: users, products and orders.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::app::{TestApp, send};
use super::eventually::eventually;
use super::response::TestResponse;
use orderly::domain::password::Password;
use orderly::domain::user::{EmailAddress, PersonName, Role};
use orderly::usecases::register_user::{Registration, register_user};

/// The password of every user of a test.
pub const PASSWORD: &str = "correct horse battery staple";

impl TestApp {
    /// Registers a new customer and returns their access token.
    pub async fn register_customer(&self) -> String {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let body = json!({"email": email, "password": PASSWORD, "name": "Customer"});
        self.post("/v1/users", "", &body).await.expect(201);
        self.log_in(&email).await
    }

    /// Creates an admin, which no request can do, and returns their access token.
    pub async fn create_admin(&self) -> String {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let registration = Registration {
            email: EmailAddress::parse(email.clone()).unwrap(),
            password: Password::parse(PASSWORD.to_owned().into()).unwrap(),
            name: PersonName::parse("Admin".to_owned()).unwrap(),
        };
        register_user(&self.app.services, registration, Role::Admin)
            .await
            .unwrap();
        self.log_in(&email).await
    }

    /// Logs in with [`PASSWORD`].
    pub async fn log_in(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD});
        let session = self.post("/v1/sessions", "", &body).await.expect(201);
        session["access_token"].as_str().unwrap().to_owned()
    }

    /// Creates a product priced in EUR and returns it.
    pub async fn create_product(&self, admin: &str, price_minor: i64, stock: i64) -> Value {
        let body = json!({
            "sku": format!("SKU-{}", Uuid::now_v7().simple()),
            "name": "Thing",
            "price": {"amount_minor": price_minor, "currency": "EUR"},
            "stock": stock,
        });
        self.post("/v1/products", admin, &body).await.expect(201)
    }

    /// Returns the stock of a product, read without authentication.
    pub async fn stock(&self, product: &Value) -> i64 {
        let path = format!("/v1/products/{}", id(product));
        self.get(&path, "").await.expect(200)["stock"]
            .as_i64()
            .unwrap()
    }

    /// A request that places an order under that key.
    pub fn order_request(&self, key: &str, lines: &[(&Value, i64)]) -> RequestBuilder {
        let lines: Vec<Value> = lines
            .iter()
            .map(|(product, quantity)| json!({"product_id": product["id"], "quantity": quantity}))
            .collect();
        self.request(Method::POST, "/v1/orders")
            .header("idempotency-key", key)
            .json(&json!({ "lines": lines }))
    }

    /// Places an order under a fresh key.
    pub async fn place_order(&self, token: &str, lines: &[(&Value, i64)]) -> TestResponse {
        let key = Uuid::now_v7().to_string();
        send(self.order_request(&key, lines), token).await
    }

    /// Returns the order, read as its customer.
    pub async fn get_order(&self, token: &str, order: &Value) -> Value {
        let path = format!("/v1/orders/{}", id(order));
        self.get(&path, token).await.expect(200)
    }

    /// Waits until the order has come to that status, and returns it.
    pub async fn wait_for_order_status(&self, token: &str, order: &Value, status: &str) -> Value {
        eventually(&format!("the order is {status}"), async || {
            let order = self.get_order(token, order).await;
            (order["status"] == status).then_some(order)
        })
        .await
    }

    /// Adds to the stock of a product.
    pub async fn adjust_stock(&self, admin: &str, product: &Value, delta: i64) -> TestResponse {
        let path = format!("/v1/products/{}/stock", id(product));
        let body = serde_json::json!({ "delta": delta });
        self.post(&path, admin, &body).await
    }
}

/// The id of a user, product or order.
#[track_caller]
pub fn id(thing: &Value) -> &str {
    thing["id"].as_str().unwrap()
}

/// A key for access tokens that all replicas accept, in PEM.
pub fn signing_key() -> String {
    use aws_lc_rs::signature::Ed25519KeyPair;
    use base64::Engine as _;
    let key = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(key);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----")
}
