//! Many at once: what the locks, the keys and the leases are for.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::{TestApp, send};
use crate::support::eventually::eventually;
use crate::support::fixtures::id;
use crate::support::invariants;
use crate::support::response::TestResponse;
use crate::support::sql::query_number;

#[tokio::test(flavor = "multi_thread")]
async fn sells_last_ten_units_once_to_fifty_clients() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 10).await;
    let customers = join_all((0..5).map(|_| app.register_customer())).await;
    let buy = async |client: usize| {
        let customer = &customers[client % customers.len()];
        app.place_order(customer, &[(&product, 1)]).await
    };
    let responses = join_all((0..50).map(buy)).await;
    let sold = responses
        .iter()
        .filter(|response| response.status == 201)
        .count();
    for rejected in responses.iter().filter(|response| response.status != 201) {
        rejected.expect_problem(409, "out-of-stock");
    }
    assert_eq!(sold, 10);
    assert_eq!(app.database.count_rows("orders").await, 10);
    assert_eq!(app.stock(&product).await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_identical_requests_place_one_order() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 100).await;
    let customer = app.register_customer().await;
    let request = |_| send(app.order_request("one-key", &[(&product, 3)]), &customer);
    let responses = join_all((0..20).map(request)).await;
    for response in &responses {
        assert_eq!(response.status, 201, "{}", response.text);
        assert_eq!(response.text, responses[0].text);
        assert_eq!(response.header("location"), responses[0].header("location"));
    }
    let first = |response: &&TestResponse| response.header("idempotent-replayed").is_none();
    assert_eq!(responses.iter().filter(first).count(), 1);
    assert_eq!(app.database.count_rows("orders").await, 1);
    assert_eq!(app.stock(&product).await, 97);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opposite_orders_never_deadlock() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let (a, b, c) = (
        app.create_product(&admin, 250, 3000).await,
        app.create_product(&admin, 100, 3000).await,
        app.create_product(&admin, 1, 3000).await,
    );
    let customer = app.register_customer().await;
    // Four lanes, so that the rounds of one meet those of the others as well.
    let forward = [(&a, 1), (&b, 1), (&c, 1)];
    let backward = [(&c, 1), (&b, 1), (&a, 1)];
    let lane = async |_| {
        for round in 0..125 {
            let (one, opposite) = tokio::join!(
                app.place_order(&customer, &forward),
                app.place_order(&customer, &backward),
            );
            one.expect(201);
            let opposite = opposite.expect(201);
            // Giving the stock back locks the same rows once more.
            if round % 5 == 0 {
                let response = app.transition_order(&customer, &opposite, "cancel").await;
                assert!([200, 409].contains(&response.status), "{}", response.text);
            }
        }
    };
    join_all((0..4).map(lane)).await;
    assert_eq!(app.database.count_rows("orders").await, 1000);
    finish_without_deadlock(app).await;
}

/// Postgres solves a deadlock by letting one of the two fail, which a job would
/// just do again. So its own count is asked; sessions report it when they end.
async fn finish_without_deadlock(app: TestApp) {
    invariants::check(&app.database, &app.gateway).await;
    app.app.stop().await.unwrap();
    let mut conn: AsyncPgConnection = app.database.connect().await;
    eventually("the service's sessions have ended", async || {
        let others = "SELECT count(*) AS value FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        (query_number(&mut conn, others).await == 0).then_some(())
    })
    .await;
    let deadlocks = "SELECT deadlocks AS value FROM pg_stat_database
        WHERE datname = current_database()";
    assert_eq!(query_number(&mut conn, deadlocks).await, 0);
    app.gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cancellation_races_with_payment_consistently() {
    let app = TestApp::start().await;
    app.set_faults(&json!({"latency_ms": 20})).await;
    let admin = app.create_admin().await;
    let (a, b) = (
        app.create_product(&admin, 250, 1000).await,
        app.create_product(&admin, 100, 1000).await,
    );
    let customer = app.register_customer().await;
    let race = async |n: usize| {
        let lines = [(&a, 1), (&b, 2)];
        let lines: Vec<_> = if n.is_multiple_of(2) {
            lines.into_iter().collect()
        } else {
            lines.into_iter().rev().collect()
        };
        let order = app.place_order(&customer, &lines).await.expect(201);
        let response = app.transition_order(&customer, &order, "cancel").await;
        let expected = match response.status {
            200 => "cancelled",
            _ => {
                response.expect_problem(409, "invalid-order-transition");
                "paid"
            }
        };
        (order, expected)
    };
    // As many rounds as it takes for both to have won.
    let mut all: Vec<(Value, &str)> = Vec::new();
    let both = |all: &[(Value, &str)]| {
        let won = |status| all.iter().any(|(_, expected)| *expected == status);
        won("paid") && won("cancelled")
    };
    while all.len() < 30 || !both(&all) {
        assert!(all.len() < 900, "one side always wins: no race");
        all.extend(join_all((0..30).map(race)).await);
    }
    for (order, expected) in &all {
        let order = app.get_order(&customer, order).await;
        assert_eq!(order["status"], *expected, "{}", id(&order));
    }
    let paid = all.iter().filter(|(_, status)| *status == "paid").count();
    assert_eq!(app.database.count_rows("payments").await, paid as i64);
    assert_eq!(app.stock(&a).await, 1000 - paid as i64);
    assert_eq!(app.stock(&b).await, 1000 - 2 * paid as i64);
    finish_without_deadlock(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_races_with_payment_consistently() {
    let app = TestApp::start_with(|settings| {
        settings.order_expiry_jobs.poll_interval = Duration::from_millis(5);
    })
    .await;
    app.set_faults(&json!({"latency_ms": 20})).await;
    let product = app
        .create_product(&app.create_admin().await, 250, 1000)
        .await;
    let customer = app.register_customer().await;
    // The time to pay ends sooner or later than a charge takes, from order to order.
    let race = async |n: u64| {
        let lines = [(&product, 1)];
        let order = app.place_order(&customer, &lines).await.expect(201);
        let mut conn = app.database.connect().await;
        let expire = format!(
            "UPDATE jobs SET run_at = now() + {} * interval '1 ms'
             WHERE kind = 'order_expiry' AND key = '{}'",
            n * 5,
            id(&order)
        );
        conn.batch_execute(&expire).await.unwrap();
        order
    };
    let mut orders: Vec<Value> = Vec::new();
    let mut paid = 0;
    // As many rounds as it takes for both to have won.
    while orders.len() < 30 || paid == 0 || paid == orders.len() {
        assert!(orders.len() < 900, "one side always wins: no race");
        for order in join_all((0..30).map(race)).await {
            let settled = eventually("the order is settled", async || {
                let order = app.get_order(&customer, &order).await;
                (order["status"] != "pending").then_some(order)
            })
            .await;
            if settled["status"] == "paid" {
                paid += 1;
                assert_eq!(settled["failure_reason"], Value::Null);
            } else {
                assert_eq!(settled["failure_reason"], "expired");
            }
            orders.push(settled);
        }
    }
    // A refund is due: no late charge changes the order, and none keeps its money.
    app.database.wait_for_row_count("jobs", 0).await;
    for order in &orders {
        let now = app.get_order(&customer, order).await;
        assert_eq!(now, *order);
    }
    assert_eq!(app.database.count_rows("payments").await, paid as i64);
    assert_eq!(app.stock(&product).await, 1000 - paid as i64);
    finish_without_deadlock(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_process_each_job_once() {
    let app = TestApp::start().await;
    let replica = app.start_replica().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 1000).await;
    let customer = app.register_customer().await;
    let place = async |_| app.place_order(&customer, &[(&product, 1)]).await;
    for response in join_all((0..60).map(place)).await {
        response.expect(201);
    }
    app.database
        .wait_for_row_count("orders WHERE status = 'paid'", 60)
        .await;

    // Not only that nobody paid twice, which the gateway would have seen to:
    // nobody even asked twice.
    let charged = "orderly_job_attempts_total{kind=\"payment\",outcome=\"charged\"} ";
    let all = eventually("each is counted, a moment after its commit", async || {
        let by_first = app.metric(charged).await.unwrap_or(0.0);
        let by_second = app.metric_of(&replica, charged).await.unwrap_or(0.0);
        (by_first + by_second >= 60.0).then_some(by_first + by_second)
    })
    .await;
    assert_eq!(all, 60.0);
    replica.stop().await.unwrap();
    app.finish().await;
}
