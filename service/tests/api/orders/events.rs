//! Events: what the rest of the world hears of orders, and what it takes to
//! lose none.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use orderly::app;
use orderly::config::Settings;
use orderly::domain::event::OrderEvent;
use orderly::domain::ids::OrderId;
use orderly::domain::order_status::OrderStatus;
use orderly::events::Publisher;
use orderly::jobs::outbox_relay::OutboxRelay;
use orderly::redis_client::RedisClient;
use orderly::resilience::breaker::Breaker;
use orderly::telemetry::metrics::{self, BreakerMetrics, Metrics};
use serde_json::{Value, json};
use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::app::{TestApp, patient};
use crate::support::cached::{door_to_postgres, postgres_through};
use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::shop::id;
use crate::support::stream::Stream;

/// A shop with one product and its stream of events.
struct Shop {
    app: TestApp,
    stream: Stream,
    admin: String,
    customer: String,
    product: Value,
}

impl Shop {
    async fn open() -> Self {
        let stream = Stream::new().await;
        let app = TestApp::start_with(|settings| stream.configure(settings)).await;
        let admin = app.admin().await;
        Self {
            product: app.product(&admin, 250, 50).await,
            customer: app.customer().await,
            app,
            stream,
            admin,
        }
    }

    async fn order(&self) -> Value {
        let answer = self.app.order(&self.customer, &[(&self.product, 2)]).await;
        answer.expect(201)
    }

    async fn paid_order(&self) -> Value {
        let order = self.order().await;
        let paid = self.app.order_reaches(&self.customer, &order, "paid").await;
        self.stream
            .tells(&paid, &["order.placed", "order.paid"])
            .await;
        paid
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_status_changes_of_each_order_in_sequence() {
    let shop = Shop::open().await;
    let shipped = shop.paid_order().await;
    let ship = shop.app.order_move(&shop.admin, &shipped, "ship").await;
    ship.expect(200);
    shop.app.faults(&json!({"decline_rate": 1.0})).await;
    let declined = shop.order().await;
    shop.app
        .order_reaches(&shop.customer, &declined, "payment_failed")
        .await;
    shop.app.gateway_goes_down().await;
    let cancelled = shop.order().await;
    let cancel = shop
        .app
        .order_move(&shop.customer, &cancelled, "cancel")
        .await;
    cancel.expect(200);
    shop.app.gateway_comes_back().await;

    for (order, kinds) in [
        (
            &shipped,
            &["order.placed", "order.paid", "order.shipped"][..],
        ),
        (&declined, &["order.placed", "order.payment_failed"]),
        (&cancelled, &["order.placed", "order.cancelled"]),
    ] {
        shop.stream.tells(order, kinds).await;
    }
    shop.app.database.rows_become("outbox", 0).await;
    let published = "orderly_events_published_total";
    shop.app.metric_becomes(published, 7.0).await;
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_conform_to_cloudevents() {
    let shop = Shop::open().await;
    let began = Utc::now();
    let order = shop.paid_order().await;
    let me = shop
        .app
        .get("/v1/users/me", &shop.customer)
        .await
        .expect(200);
    let events = shop.stream.events().await;
    for (event, status) in events.iter().zip(["pending", "paid"]) {
        // CloudEvents 1.0.2, sections 3.1 and 3.2.
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["source"], "/v1/orders");
        assert_eq!(event["subject"], order["id"]);
        assert_eq!(event["datacontenttype"], "application/json");
        Uuid::parse_str(event["id"].as_str().unwrap()).unwrap();
        let time = event["time"].as_str().unwrap();
        let time = DateTime::parse_from_rfc3339(time).unwrap();
        assert!((began..=Utc::now()).contains(&time.to_utc()));
        assert_eq!(
            event["data"],
            json!({
                "order_id": order["id"],
                "user_id": me["id"],
                "status": status,
                "lines": [{"product_id": shop.product["id"], "quantity": 2, "unit_price_minor": 250}],
                "total_minor": 500,
                "currency": "EUR",
            })
        );
        assert_eq!(event.as_object().unwrap().len(), 8, "{event}");
    }
    assert_ne!(events[0]["id"], events[1]["id"]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_orders_and_queues_events_without_redis() {
    let stream = Stream::new().await;
    // Away from the start, and once more later.
    stream.door.shut();
    let app = TestApp::start_with(|settings| stream.configure(settings)).await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 50).await;
    let customer = app.customer().await;
    for _ in 0..2 {
        stream.door.shut();
        let before = stream.len().await;
        let order = app.order(&customer, &[(&product, 1)]).await.expect(201);
        app.order_reaches(&customer, &order, "paid").await;
        let waiting = format!("outbox WHERE order_id = '{}'", id(&order));
        assert_eq!(app.database.rows(&waiting).await, 2);
        assert_eq!(stream.len().await, before);

        stream.door.open();
        stream.tells(&order, &["order.placed", "order.paid"]).await;
        app.database.rows_become("outbox", 0).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_replica_resumes_where_relay_stopped() {
    let mut shop = Shop::open().await;
    let configure = |settings: &mut Settings| shop.stream.configure(settings);
    let replica = shop.app.replica_with(configure).await;
    // Two replicas, one relay: every event comes once.
    let mut orders = vec![shop.paid_order().await, shop.paid_order().await];
    assert_eq!(shop.stream.len().await, 4);

    let relay = std::mem::replace(&mut shop.app.app, replica);
    relay.stop().await.unwrap();
    // Each process signs its tokens with a key of its own.
    shop.admin = shop.app.admin().await;
    shop.customer = shop.app.customer().await;
    orders.push(shop.paid_order().await);
    let events = shop.stream.events().await;
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!((events.len(), ids.len()), (6, 6));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_restarts_after_its_session_ends() {
    let shop = Shop::open().await;
    shop.paid_order().await;
    let relay = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)";
    shop.app.database.kill(relay).await;
    shop.paid_order().await;
    shop.app.database.rows_become("outbox", 0).await;
    shop.app.finish().await;
}

/// On one thread, for then its clock can be put forward.
#[tokio::test]
async fn relay_reconnects_when_postgres_is_frozen() {
    let make = || Runtime::new().unwrap().block_on(TestDatabase::new());
    let database = tokio::task::spawn_blocking(make).await.unwrap();
    let postgres = door_to_postgres().await;
    let mut settings = Settings::default();
    settings.database.url = Some(database.url.clone().into());
    postgres_through(&postgres, &mut settings);
    let metrics = Metrics::new().unwrap();
    let relay = OutboxRelay {
        database: app::build_databases(&settings, &metrics)
            .unwrap()
            .background,
        publisher: Arc::new(Publisher::new(None, &settings.events).unwrap()),
        config: settings.events.clone(),
        published: metrics.events_published,
    };
    tokio::spawn(relay.run(Arc::default(), CancellationToken::new()));
    let is_relay = "pg_locks JOIN pg_database ON pg_database.oid = database \
                    WHERE locktype = 'advisory' AND granted AND datname = current_database()";
    database.rows_become(is_relay, 1).await;

    postgres.block();
    let before = postgres.knocks();
    tokio::time::pause();
    eventually("it asks for another session", async || {
        (postgres.knocks() > before).then_some(())
    })
    .await;
}

fn redis_client(settings: &Settings) -> RedisClient {
    let metrics = BreakerMetrics::new().unwrap();
    let breaker = Breaker::new("redis", settings.breaker.clone(), metrics);
    let url = settings.redis.url.as_ref().unwrap().expose();
    let seconds = metrics::redis_latency().unwrap();
    RedisClient::new(url, &settings.redis, breaker, seconds, Handle::current()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn trims_event_stream_to_max_length() {
    let stream = Stream::new().await;
    let mut settings = patient();
    stream.configure(&mut settings);
    settings.events.max_length = 1000;
    let publisher = Publisher::new(Some(redis_client(&settings)), &settings.events).unwrap();
    let event = |_| {
        let (id, data) = (OrderId::new(Utc::now()), "{}".to_owned());
        OrderEvent::status_changed(OrderStatus::Paid, id, data, Utc::now())
    };
    let events: Vec<OrderEvent> = (0..3000).map(event).collect();
    for batch in events.chunks(500) {
        publisher.publish(batch).await.unwrap();
    }
    // Redis drops whole nodes, of 100 entries by default, and the oldest first.
    let kept = stream.events().await;
    assert!((1000..=1100).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().unwrap()["id"], events[2999].id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_only_committed_events_without_redis() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 1).await;
    let customer = app.customer().await;
    let rejected = app.order(&customer, &[(&product, 2)]).await;
    rejected.expect_problem(409, "out-of-stock");
    let order = app.order(&customer, &[(&product, 1)]).await.expect(201);
    app.order_reaches(&customer, &order, "paid").await;
    app.database.rows_become("outbox", 0).await;
    // order.placed and order.paid.
    app.metric_becomes("orderly_events_published_total", 2.0)
        .await;
    app.finish().await;
}
