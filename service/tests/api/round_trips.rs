//! What an order costs on the wire. While its transaction runs, everybody who
//! wants one of its products waits, for each round trip.

use std::sync::{Arc, Mutex};

use diesel::connection::InstrumentationEvent;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use orderly::config::OrdersConfig;
use orderly::domain::idempotency::IdempotencyKey;
use orderly::domain::ids::{ProductId, UserId};
use orderly::domain::order::{Basket, BasketLine, Quantity};
use orderly::usecases::place_order::{PlaceOrder, Placed, place_on};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::shop::id;
use crate::support::sql::texts;

/// What was sent over a connection.
#[derive(Default)]
struct Sent {
    /// The statements, `BEGIN` and `COMMIT` too: each is a round trip.
    statements: Vec<String>,
    /// Those that had to be prepared first: one round trip more.
    prepared: usize,
}

/// A connection, and a count of what is sent over it.
struct Counted {
    conn: AsyncPgConnection,
    sent: Arc<Mutex<Sent>>,
}

impl Counted {
    async fn connect(app: &TestApp) -> Self {
        let mut conn = app.database.connect().await;
        let sent = Arc::new(Mutex::new(Sent::default()));
        let seen = Arc::clone(&sent);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            let mut seen = seen.lock().unwrap();
            match event {
                InstrumentationEvent::StartQuery { query, .. } => {
                    seen.statements.push(query.to_string());
                }
                InstrumentationEvent::CacheQuery { .. } => seen.prepared += 1,
                _ => {}
            }
        });
        Self { conn, sent }
    }

    async fn place(&mut self, request: &PlaceOrder) -> (Placed, Sent) {
        let config = OrdersConfig::default();
        let answer =
            |order: &orderly::domain::order::Order| serde_json::to_string(&json!({"id": order.id}));
        let placed = place_on(&mut self.conn, &config, request, answer).await;
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        (placed.unwrap(), sent)
    }

    async fn prepared_statements(&mut self) -> Vec<String> {
        let names = "SELECT name AS value FROM pg_prepared_statements
            WHERE statement NOT LIKE '%pg_prepared_statements%' ORDER BY name";
        let names = texts(&mut self.conn, names).await;
        self.sent.lock().unwrap().statements.clear();
        names
    }
}

async fn user_id(app: &TestApp, token: &str) -> UserId {
    let me = app.get("/v1/users/me", token).await.expect(200);
    UserId(id(&me).parse().unwrap())
}

fn request(user_id: UserId, key: &str, products: &[Value]) -> PlaceOrder {
    let line = |product: &Value| BasketLine {
        product_id: ProductId(id(product).parse().unwrap()),
        quantity: Quantity::new(1).unwrap(),
    };
    PlaceOrder {
        user_id,
        basket: Basket::new(products.iter().map(line).collect()).unwrap(),
        key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_five_statements() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut products = Vec::new();
    for _ in 0..10 {
        products.push(app.product(&admin, 250, 5).await);
    }
    let customer = app.customer().await;
    let user_id = user_id(&app, &customer).await;
    let mut counted = Counted::connect(&app).await;

    // However many lines it has.
    for (key, lines) in [("one", 1), ("ten", 10)] {
        let request = request(user_id, key, &products[..lines]);
        let (placed, sent) = counted.place(&request).await;
        assert!(!placed.replayed);
        let starts = ["BEGIN", "WITH patience", "SELECT", "WITH line", "COMMIT"];
        sent.are(&starts);
        assert!(sent.statements[2].contains("FOR NO KEY UPDATE"));
    }

    let again = request(user_id, "ten", &products);
    let (placed, sent) = counted.place(&again).await;
    assert!(placed.replayed);
    sent.are(&["BEGIN", "WITH patience", "SELECT", "COMMIT"]);
    assert!(sent.statements[2].contains("idempotency_keys"));
    app.finish().await;
}

impl Sent {
    fn are(&self, starts: &[&str]) {
        let fits = self.statements.len() == starts.len()
            && self
                .statements
                .iter()
                .zip(starts)
                .all(|(statement, start)| statement.starts_with(start));
        assert!(fits, "{:#?}", self.statements);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_order_of_a_connection_prepares_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut products = Vec::new();
    for _ in 0..3 {
        products.push(app.product(&admin, 250, 5).await);
    }
    let customer = app.customer().await;
    let user_id = user_id(&app, &customer).await;
    let mut counted = Counted::connect(&app).await;

    let (_, first) = counted.place(&request(user_id, "1", &products[..1])).await;
    assert_eq!(first.prepared, 3);
    let prepared = counted.prepared_statements().await;
    assert_eq!(prepared.len(), 3);
    // Other values and another number of lines.
    let (_, second) = counted.place(&request(user_id, "2", &products)).await;
    assert_eq!(second.prepared, 0);
    assert_eq!(counted.prepared_statements().await, prepared);
    app.finish().await;
}
