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
use orderly::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::app::{TestApp, lenient_timeouts};
use crate::support::database::TestDatabase;
use crate::support::event_stream::EventStream;
use crate::support::eventually::eventually;
use crate::support::fault_proxy::{start_postgres_proxy, use_postgres_proxy};
use crate::support::fixtures::id;

/// A shop with one product and its stream of events.
struct EventTest {
    app: TestApp,
    stream: EventStream,
    admin: String,
    customer: String,
    product: Value,
}

impl EventTest {
    async fn start() -> Self {
        let stream = EventStream::new().await;
        let app = TestApp::start_with(|settings| stream.configure(settings)).await;
        let admin = app.create_admin().await;
        Self {
            product: app.create_product(&admin, 250, 50).await,
            customer: app.register_customer().await,
            app,
            stream,
            admin,
        }
    }

    async fn place_order(&self) -> Value {
        let response = self
            .app
            .place_order(&self.customer, &[(&self.product, 2)])
            .await;
        response.expect(201)
    }

    async fn place_paid_order(&self) -> Value {
        let order = self.place_order().await;
        let paid = self
            .app
            .wait_for_order_status(&self.customer, &order, "paid")
            .await;
        self.stream
            .wait_for_events(&paid, &["order.placed", "order.paid"])
            .await;
        paid
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_status_changes_of_each_order_in_sequence() {
    let test = EventTest::start().await;
    let shipped = test.place_paid_order().await;
    let ship = test
        .app
        .transition_order(&test.admin, &shipped, "ship")
        .await;
    ship.expect(200);
    test.app.set_faults(&json!({"decline_rate": 1.0})).await;
    let declined = test.place_order().await;
    test.app
        .wait_for_order_status(&test.customer, &declined, "payment_failed")
        .await;
    test.app.fail_gateway().await;
    let cancelled = test.place_order().await;
    let cancel = test
        .app
        .transition_order(&test.customer, &cancelled, "cancel")
        .await;
    cancel.expect(200);
    let expired = test.place_order().await;
    test.app.end_payment_window(&expired).await;
    test.app
        .wait_for_order_status(&test.customer, &expired, "payment_failed")
        .await;
    test.app.restore_gateway().await;

    for (order, kinds) in [
        (
            &shipped,
            &["order.placed", "order.paid", "order.shipped"][..],
        ),
        (&declined, &["order.placed", "order.payment_failed"]),
        (&cancelled, &["order.placed", "order.cancelled"]),
        (&expired, &["order.placed", "order.payment_failed"]),
    ] {
        test.stream.wait_for_events(order, kinds).await;
    }
    test.app.database.wait_for_row_count("outbox", 0).await;
    let published = "orderly_events_published_total";
    test.app.wait_for_metric(published, 9.0).await;
    for (order, reason) in [(&declined, "declined"), (&expired, "expired")] {
        let events = test.stream.events().await;
        let last = events.iter().rfind(|event| event["subject"] == order["id"]);
        assert_eq!(last.unwrap()["data"]["failure_reason"], reason);
    }
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_conform_to_cloudevents() {
    let test = EventTest::start().await;
    let began = Utc::now();
    let order = test.place_paid_order().await;
    let me = test
        .app
        .get("/v1/users/me", &test.customer)
        .await
        .expect(200);
    let events = test.stream.events().await;
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
                "failure_reason": null,
                "lines": [{"product_id": test.product["id"], "quantity": 2, "unit_price_minor": 250}],
                "total_minor": 500,
                "currency": "EUR",
            })
        );
        assert_eq!(event.as_object().unwrap().len(), 8, "{event}");
    }
    assert_ne!(events[0]["id"], events[1]["id"]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_orders_and_queues_events_without_redis() {
    let stream = EventStream::new().await;
    // Away from the start, and once more later.
    stream.proxy.disconnect();
    let app = TestApp::start_with(|settings| stream.configure(settings)).await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 50).await;
    let customer = app.register_customer().await;
    for _ in 0..2 {
        stream.proxy.disconnect();
        let before = stream.len().await;
        let order = app
            .place_order(&customer, &[(&product, 1)])
            .await
            .expect(201);
        app.wait_for_order_status(&customer, &order, "paid").await;
        let waiting = format!("outbox WHERE order_id = '{}'", id(&order));
        assert_eq!(app.database.count_rows(&waiting).await, 2);
        assert_eq!(stream.len().await, before);

        stream.proxy.restore();
        stream
            .wait_for_events(&order, &["order.placed", "order.paid"])
            .await;
        app.database.wait_for_row_count("outbox", 0).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_replica_resumes_where_relay_stopped() {
    let mut test = EventTest::start().await;
    let replica = test.app.start_replica().await;
    // Two replicas, one relay: every event comes once.
    let mut orders = vec![test.place_paid_order().await, test.place_paid_order().await];
    assert_eq!(test.stream.len().await, 4);

    let relay = std::mem::replace(&mut test.app.app, replica);
    relay.stop().await.unwrap();
    // Each process signs its tokens with a key of its own.
    test.admin = test.app.create_admin().await;
    test.customer = test.app.register_customer().await;
    orders.push(test.place_paid_order().await);
    let events = test.stream.events().await;
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!((events.len(), ids.len()), (6, 6));
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_restarts_after_its_session_ends() {
    let test = EventTest::start().await;
    test.place_paid_order().await;
    let relay = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)";
    test.app.database.terminate_session(relay).await;
    test.place_paid_order().await;
    test.app.database.wait_for_row_count("outbox", 0).await;
    test.app.finish().await;
}

/// On one thread, for then its clock can be put forward.
#[tokio::test]
async fn relay_reconnects_when_postgres_is_frozen() {
    let make = || Runtime::new().unwrap().block_on(TestDatabase::new());
    let database = tokio::task::spawn_blocking(make).await.unwrap();
    let postgres = start_postgres_proxy().await;
    let mut settings = Settings::default();
    settings.database.url = Some(database.url.clone().into());
    use_postgres_proxy(&postgres, &mut settings);
    let metrics = Metrics::new().unwrap();
    let relay = OutboxRelay {
        database: app::build_databases(&settings, &metrics)
            .unwrap()
            .background,
        publisher: Arc::new(Publisher::new(None, &settings.events).unwrap()),
        config: settings.events.clone(),
        published: metrics.jobs.events_published,
    };
    tokio::spawn(relay.run(watch::channel(()).1, CancellationToken::new()));
    let is_relay = "pg_locks JOIN pg_database ON pg_database.oid = database \
                    WHERE locktype = 'advisory' AND granted AND datname = current_database()";
    database.wait_for_row_count(is_relay, 1).await;

    postgres.freeze();
    let before = postgres.connection_count();
    tokio::time::pause();
    eventually("it asks for another session", async || {
        (postgres.connection_count() > before).then_some(())
    })
    .await;
}

fn redis_client(settings: &Settings) -> RedisClient {
    let metrics = Metrics::new().unwrap();
    let breaker = Breaker::new("redis", settings.breaker.clone(), metrics.breakers);
    let url = settings.redis.url.as_ref().unwrap().expose();
    let seconds = metrics.dependencies.redis_command_duration;
    RedisClient::new(url, &settings.redis, breaker, seconds, Handle::current()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn trims_event_stream_to_max_length() {
    let stream = EventStream::new().await;
    let mut settings = lenient_timeouts();
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
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 1).await;
    let customer = app.register_customer().await;
    let rejected = app.place_order(&customer, &[(&product, 2)]).await;
    rejected.expect_problem(409, "out-of-stock");
    let order = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);
    app.wait_for_order_status(&customer, &order, "paid").await;
    app.database.wait_for_row_count("outbox", 0).await;
    // order.placed and order.paid.
    app.wait_for_metric("orderly_events_published_total", 2.0)
        .await;
    app.finish().await;
}
