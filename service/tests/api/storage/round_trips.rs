//! What an order costs on the wire. While its transaction runs, everybody who
//! wants one of its products waits, for each round trip.

use std::sync::{Arc, Mutex};

use diesel::connection::InstrumentationEvent;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use orderly::config::OrdersConfig;
use orderly::domain::basket::{Basket, BasketLine, Quantity};
use orderly::domain::idempotency::IdempotencyKey;
use orderly::domain::ids::{ProductId, UserId};
use orderly::domain::order::Order;
use orderly::usecases::place_order::{PlaceOrder, PlacedOrder, place_order_on};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::fixtures::id;
use crate::support::sql::query_texts;

/// What was sent over a connection.
#[derive(Default)]
struct SentStatements {
    /// The statements, `BEGIN` and `COMMIT` too.
    statements: Vec<String>,
    /// Those that had to be prepared first: one round trip more.
    prepared: usize,
    /// How often an answer was waited for before more was sent.
    waits: usize,
    waiting: bool,
}

/// A connection, and a count of what is sent over it.
struct CountingConnection {
    conn: AsyncPgConnection,
    sent: Arc<Mutex<SentStatements>>,
}

impl CountingConnection {
    async fn connect(app: &TestApp) -> Self {
        let mut conn = app.database.connect().await;
        let sent = Arc::new(Mutex::new(SentStatements::default()));
        let recorder = Arc::clone(&sent);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            let mut recorded = recorder.lock().unwrap();
            match event {
                InstrumentationEvent::StartQuery { query, .. } => {
                    recorded.statements.push(query.to_string());
                    recorded.waiting = false;
                }
                InstrumentationEvent::FinishQuery { .. } if !recorded.waiting => {
                    recorded.waiting = true;
                    recorded.waits += 1;
                }
                InstrumentationEvent::CacheQuery { .. } => recorded.prepared += 1,
                _ => {}
            }
        });
        Self { conn, sent }
    }

    async fn place_order(&mut self, request: &PlaceOrder) -> (PlacedOrder, SentStatements) {
        let placed = place_order_on(
            &mut self.conn,
            &OrdersConfig::default(),
            request,
            response_body,
        )
        .await;
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        (placed.unwrap(), sent)
    }

    /// Of some tries: a thread that is held up between two statements finds that the first is done
    /// already.
    async fn min_waits(&mut self, request: impl Fn(usize) -> PlaceOrder) -> usize {
        let mut fewest = usize::MAX;
        for number in 0..10 {
            fewest = fewest.min(self.place_order(&request(number)).await.1.waits);
        }
        fewest
    }

    async fn prepared_statements(&mut self) -> Vec<String> {
        let names = "SELECT name AS value FROM pg_prepared_statements
            WHERE statement NOT LIKE '%pg_prepared_statements%' ORDER BY name";
        let names = query_texts(&mut self.conn, names).await;
        self.sent.lock().unwrap().statements.clear();
        names
    }
}

pub fn response_body(order: &Order) -> serde_json::Result<String> {
    serde_json::to_string(&json!({"id": order.id}))
}

pub async fn user_id(app: &TestApp, token: &str) -> UserId {
    let me = app.get("/v1/users/me", token).await.expect(200);
    UserId(id(&me).parse().unwrap())
}

pub fn request(user_id: UserId, key: &str, products: &[Value]) -> PlaceOrder {
    let line = |product: &Value| BasketLine {
        product_id: ProductId(id(product).parse().unwrap()),
        quantity: Quantity::new(1).unwrap(),
    };
    PlaceOrder {
        user_id,
        basket: Basket::new(products.iter().map(line).collect()).unwrap(),
        idempotency_key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn order_takes_five_statements_and_two_waits() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let mut products = Vec::new();
    for _ in 0..10 {
        products.push(app.create_product(&admin, 250, 50).await);
    }
    let customer = app.register_customer().await;
    let user_id = user_id(&app, &customer).await;
    let mut counted = CountingConnection::connect(&app).await;

    // However many lines it has.
    for (key, lines) in [("one", 1), ("ten", 10)] {
        let request = request(user_id, key, &products[..lines]);
        let (placed, sent) = counted.place_order(&request).await;
        assert!(!placed.is_replayed());
        let starts = [
            "BEGIN",
            "WITH local_settings",
            "SELECT",
            "WITH line",
            "COMMIT",
        ];
        sent.assert_start_with(&starts);
        assert!(sent.statements[2].contains("FOR NO KEY UPDATE"));
    }
    let another = |number| request(user_id, &format!("another-{number}"), &products);
    assert_eq!(counted.min_waits(another).await, 2);

    let again = request(user_id, "ten", &products);
    let (placed, sent) = counted.place_order(&again).await;
    assert!(placed.is_replayed());
    sent.assert_start_with(&["BEGIN", "WITH local_settings", "SELECT", "SELECT", "COMMIT"]);
    assert!(sent.statements[3].contains("idempotency_keys"));
    let again = |_| request(user_id, "ten", &products);
    assert_eq!(counted.min_waits(again).await, 2);
    app.finish().await;
}

impl SentStatements {
    fn assert_start_with(&self, starts: &[&str]) {
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
async fn second_order_on_connection_prepares_nothing() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let mut products = Vec::new();
    for _ in 0..3 {
        products.push(app.create_product(&admin, 250, 5).await);
    }
    let customer = app.register_customer().await;
    let user_id = user_id(&app, &customer).await;
    let mut counted = CountingConnection::connect(&app).await;

    let (_, first) = counted
        .place_order(&request(user_id, "1", &products[..1]))
        .await;
    // All but `BEGIN`.
    assert_eq!(first.prepared, 4);
    let prepared = counted.prepared_statements().await;
    assert_eq!(prepared.len(), 4);
    // Other values and another number of lines.
    let (_, second) = counted.place_order(&request(user_id, "2", &products)).await;
    assert_eq!(second.prepared, 0);
    assert_eq!(counted.prepared_statements().await, prepared);
    app.finish().await;
}

/// `loadtest/bench/place_order.sql` compares the service with `pgbench`; it would
/// compare with something else if it did not send the same.
#[tokio::test(flavor = "multi_thread")]
async fn benchmark_runs_same_statements_as_service() {
    let app = TestApp::start().await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let user_id = user_id(&app, &app.register_customer().await).await;
    let mut counted = CountingConnection::connect(&app).await;
    let (_, sent) = counted
        .place_order(&request(user_id, "key", &[product]))
        .await;

    let script = include_str!("../../../../loadtest/bench/place_order.sql");
    let sql = (script.lines()).filter(|line| !line.starts_with("--") && !line.starts_with('\\'));
    let script: String = sql.flat_map(|line| [line, "\n"]).collect();
    let script: Vec<&str> = script.split_terminator(';').collect();
    let script = &script[..script.len() - 1]; // behind the last one is nothing
    assert_eq!(script.len(), sent.statements.len());
    for (statement, script) in sent.statements.iter().zip(script) {
        // Without what diesel's display says behind it.
        let statement = statement.split(" -- binds:").next().unwrap();
        assert_same_statement(statement, script);
    }
    app.finish().await;
}

/// Whether the script has the statement's words, and expressions where that has binds.
fn assert_same_statement(statement: &str, script: &str) {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let (statement, script) = (squeezed(statement), squeezed(script));
    let mut rest = script.as_str();
    for (index, piece) in split_at_binds(&statement).iter().enumerate() {
        let at = outside_brackets(rest, piece);
        let (bind, from) = rest.split_at(at);
        let is_one = bind.contains(':') && !bind.contains("SELECT") && !bind.contains("FROM");
        assert!(
            is_one == (index > 0),
            "{bind:?} is no expression in place of a bind"
        );
        rest = &from[piece.len()..];
    }
    assert_eq!(rest, "", "the script has more than the service sends");
}

/// Where the piece begins, after whole expressions; an empty one is at the end.
fn outside_brackets(text: &str, piece: &str) -> usize {
    let mut depth = 0;
    for (at, sign) in text.char_indices() {
        if depth == 0 && !piece.is_empty() && text[at..].starts_with(piece) {
            return at;
        }
        match sign {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
    }
    assert!(piece.is_empty(), "the script lacks {piece}\nin {text}");
    text.len()
}

/// What is between `$1`, `$2` and so on.
fn split_at_binds(statement: &str) -> Vec<String> {
    let mut parts = statement.split('$');
    let first = parts.next().unwrap().to_owned();
    let others = parts.map(|part| {
        part.trim_start_matches(|c: char| c.is_ascii_digit())
            .to_owned()
    });
    [first].into_iter().chain(others).collect()
}
