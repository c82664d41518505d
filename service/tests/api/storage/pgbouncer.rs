//! Orders, jobs, timeouts and cancellations through real PgBouncers in transaction mode, with fewer
//! connections to Postgres than the service has to the PgBouncer.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use orderly::storage::database::Databases;
use orderly::telemetry::metrics::Metrics;
use serde_json::json;
use tokio::runtime::Handle;

use crate::support::app::{TestApp, lenient_timeouts, send};
use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::fixtures::signing_key;
use crate::support::pgbouncer::PgBouncer;
use crate::support::sql::query_texts;

/// Connections of each PgBouncer to each database.
const POOL_SIZE: usize = 2;

/// Sessions of the service at Postgres itself, which hold advisory locks.
const RELAYS: &str = "pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

#[tokio::test(flavor = "multi_thread")]
async fn orders_work_through_pooler() {
    for program in PgBouncer::programs() {
        let pgbouncer = PgBouncer::start(&program, POOL_SIZE).await;
        let app = TestApp::start_with(|settings| {
            pgbouncer.serve(settings);
            settings.auth.signing_key = Some(signing_key().into());
        })
        .await;
        let replica = app.start_replica().await;
        let admin = app.create_admin().await;
        let product = app.create_product(&admin, 250, 100).await;
        let customers = join_all((0..3).map(|_| app.register_customer())).await;

        let place = async |number: usize| {
            let address = [app.app.address, replica.address][number % 2];
            let request = app.client.post(format!("http://{address}/v1/orders"));
            let body = json!({"lines": [{"product_id": product["id"], "quantity": 1}]});
            // Each key is used twice, on different replicas.
            let request = request.header("idempotency-key", format!("key-{}", number / 2));
            let customer = &customers[number / 2 % customers.len()];
            send(request.json(&body), customer).await.expect(201)
        };
        let orders = join_all((0..40).map(place)).await;
        assert_eq!(app.database.count_rows("orders").await, 20);
        for (number, order) in orders.iter().enumerate().step_by(2) {
            let customer = &customers[number / 2 % customers.len()];
            app.wait_for_order_status(customer, order, "paid").await;
        }
        assert_eq!(app.stock(&product).await, 80);
        let found = app.get("/v1/products?search=thing", "").await.expect(200);
        assert_eq!(found["items"].as_array().unwrap().len(), 1);
        let me = json!({"name": "Renamed"});
        app.patch("/v1/users/me", &customers[0], &me).await;
        assert!(app.get_admin("/readyz").await.status == 200);

        let sessions = "pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND query NOT LIKE '%advisory%'
            AND query NOT LIKE 'LISTEN%' AND application_name = 'orderly'";
        assert!(app.database.count_rows(sessions).await <= 2 + i64::try_from(POOL_SIZE).unwrap());
        replica.stop().await.unwrap();
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_notifications_and_relay_work_beside_pooler() {
    for program in PgBouncer::programs() {
        let pgbouncer = PgBouncer::start(&program, POOL_SIZE).await;
        let app = TestApp::start_with(|settings| {
            pgbouncer.serve(settings);
            settings.payment_jobs.poll_interval = Duration::from_mins(10);
            settings.events.poll_interval = Duration::from_millis(100);
        })
        .await;
        app.database.wait_for_listener().await;
        let replica = app.start_replica().await;
        let product = app.create_product(&app.create_admin().await, 250, 5).await;
        let customer = app.register_customer().await;
        let order = app
            .place_order(&customer, &[(&product, 1)])
            .await
            .expect(201);
        app.wait_for_order_status(&customer, &order, "paid").await;
        app.database.wait_for_row_count("outbox", 0).await;
        assert_eq!(app.database.count_rows(RELAYS).await, 1);
        replica.stop().await.unwrap();
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_timeout_ends_wait_through_pooler() {
    for program in PgBouncer::programs() {
        let pgbouncer = PgBouncer::start(&program, POOL_SIZE).await;
        let app = TestApp::start_with(|settings| {
            pgbouncer.serve(settings);
            settings.database.lock_timeout = Duration::from_millis(200);
            settings.orders.idempotency_wait_timeout = Duration::from_millis(100);
        })
        .await;
        let admin = app.create_admin().await;
        let product = app.create_product(&admin, 250, 5).await;
        let customer = app.register_customer().await;
        let lock = app.database.lock_rows("SELECT FROM products").await;
        // In a transaction, and in one that the stream has added.
        let placed = app.place_order(&customer, &[(&product, 1)]).await;
        assert_eq!(placed.status, 503, "{}", placed.text);
        let adjusted = app.adjust_stock(&admin, &product, 1).await;
        assert_eq!(adjusted.status, 503, "{}", adjusted.text);
        lock.release().await;
        app.place_order(&customer, &[(&product, 1)])
            .await
            .expect(201);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_request_leaves_nothing_waiting_behind_pooler() {
    for program in PgBouncer::programs() {
        let pgbouncer = PgBouncer::start(&program, POOL_SIZE).await;
        let app = TestApp::start_with(|settings| {
            pgbouncer.serve(settings);
            settings.auth.signing_key = Some(signing_key().into());
        })
        .await;
        let impatient = app
            .start_replica_with(|settings| {
                settings.http.request_timeout = Duration::from_millis(500)
            })
            .await;
        let product = app.create_product(&app.create_admin().await, 250, 5).await;
        let customer = app.register_customer().await;
        let lock = app.database.lock_rows("SELECT FROM products").await;
        for _ in 0..5 {
            let request = app
                .client
                .post(format!("http://{}/v1/orders", impatient.address));
            let body = json!({"lines": [{"product_id": product["id"], "quantity": 1}]});
            let key = uuid::Uuid::now_v7().to_string();
            let request = request.header("idempotency-key", key).json(&body);
            let response = send(request, &customer).await;
            response.expect_problem(504, "deadline-exceeded");
        }
        app.database.wait_for_lock_waiters(0).await;
        lock.release().await;
        eventually("orders are placed again", async || {
            (app.place_order(&customer, &[(&product, 1)]).await.status == 201).then_some(())
        })
        .await;
        impatient.stop().await.unwrap();
        app.finish().await;
    }
}

/// The parameters hold for the transactions of the service, whatever the defaults are, and for no
/// other client of the pooler.
#[tokio::test(flavor = "multi_thread")]
async fn session_parameters_hold_for_transactions_of_service_only() {
    const SHOW: &str = "SELECT concat_ws(',', current_setting('lock_timeout'),
        current_setting('transaction_isolation'), current_setting('DateStyle')) AS value";
    for program in PgBouncer::programs() {
        let pgbouncer = PgBouncer::start(&program, 1).await;
        let database = TestDatabase::new().await;
        let name = database.name();
        let defaults = format!(
            "ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read';
             ALTER DATABASE {name} SET lock_timeout = '7min'"
        );
        (database.connect().await.batch_execute(&defaults).await).unwrap();
        let mut settings = orderly::config::Settings {
            database: lenient_timeouts().database,
            ..orderly::config::Settings::default()
        };
        settings.database.url = Some(database.url.clone().into());
        pgbouncer.serve(&mut settings);
        let url = pgbouncer.url(&database.url);
        let metrics = Metrics::new().unwrap();
        let databases =
            Databases::new(&url, &settings.database, Handle::current(), &metrics).unwrap();

        let mut conn = databases.requests.connection().await.unwrap();
        let expected = "45s,read committed,ISO, MDY";
        for sql in [
            "",
            "BEGIN",
            "SELECT 1",
            "COMMIT",
            "NOTIFY jobs",
            "BEGIN READ ONLY",
            "ROLLBACK",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "END",
        ] {
            conn.batch_execute(sql).await.unwrap();
            // A new text each time: it is described in a batch of its own.
            let show = format!("{SHOW} -- {sql}");
            let isolation = if sql.contains("SERIALIZABLE") {
                "serializable"
            } else {
                "read committed"
            };
            let expected = expected.replace("read committed", isolation);
            assert_eq!(
                query_texts(&mut conn, &show).await,
                [expected],
                "after {sql:?}"
            );
        }
        drop(conn);
        databases.close().await;

        // The same connection to Postgres.
        let (client, driver) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        let driver = tokio::spawn(driver);
        let rows = client.simple_query(SHOW).await.unwrap();
        let other = rows.iter().find_map(|row| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        assert_eq!(other, Some("7min,repeatable read,ISO, MDY"));
        drop(client);
        driver.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_from_restart_of_pooler() {
    for program in PgBouncer::programs() {
        let mut pgbouncer = PgBouncer::start(&program, POOL_SIZE).await;
        let app = TestApp::start_with(|settings| pgbouncer.serve(settings)).await;
        let product = app.create_product(&app.create_admin().await, 250, 5).await;
        let customer = app.register_customer().await;
        app.place_order(&customer, &[(&product, 1)])
            .await
            .expect(201);
        pgbouncer.restart().await;
        let order = eventually("orders are placed again", async || {
            let placed = app.place_order(&customer, &[(&product, 1)]).await;
            assert!([201, 503].contains(&placed.status), "{}", placed.text);
            (placed.status == 201).then(|| placed.json())
        })
        .await;
        app.wait_for_order_status(&customer, &order, "paid").await;
        app.finish().await;
    }
}

/// All connections of the pooler are in use: the responses are 503, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn exhausted_pooler_is_overload() {
    for program in PgBouncer::programs() {
        let wait = "query_wait_timeout = 1";
        let pgbouncer = PgBouncer::start_with(&program, POOL_SIZE, wait).await;
        let app = TestApp::start_with(|settings| pgbouncer.serve(settings)).await;
        let product = app.create_product(&app.create_admin().await, 250, 50).await;
        let customer = app.register_customer().await;
        let lock = app.database.lock_rows("SELECT FROM products").await;
        let place = |number: usize| {
            let key = format!("key-{number}");
            send(app.order_request(&key, &[(&product, 1)]), &customer)
        };
        // Two get a connection and wait for the row, the others wait for a connection.
        let mut responses: FuturesUnordered<_> = (0..8).map(place).collect();
        for _ in 0..6 {
            let response = responses.next().await.unwrap();
            response.expect_problem(503, "unavailable");
        }
        lock.release().await;
        while let Some(response) = responses.next().await {
            response.expect(201);
        }
        drop(responses);
        for number in 0..8 {
            eventually("the order is placed", async || {
                (place(number).await.status == 201).then_some(())
            })
            .await;
        }
        assert_eq!(app.stock(&product).await, 42);
        app.finish().await;
    }
}
