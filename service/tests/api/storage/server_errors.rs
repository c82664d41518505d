//! Errors of the server, by their code, whatever the language of their text.

use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::{TestApp, send};
use crate::support::fixtures::PASSWORD;
use crate::support::response::TestResponse;

/// Text that no rule of the service can match.
const TEXT: &str = "storniere Anfrage, egal weshalb";

/// A service with one product and one customer.
struct Shop {
    app: TestApp,
    product: Value,
    customer: String,
}

impl Shop {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let product = app
            .create_product(&app.create_admin().await, 100, 1000)
            .await;
        let customer = app.register_customer().await;
        Self {
            app,
            product,
            customer,
        }
    }

    async fn execute(&self, sql: &str) {
        let mut conn = self.app.database.connect().await;
        conn.batch_execute(sql).await.unwrap();
    }

    /// Makes the next inserts of an order fail with that code.
    async fn fail_orders(&self, code: &str, times: u32) {
        let sql = format!(
            "CREATE SEQUENCE IF NOT EXISTS failures;
             SELECT setval('failures', 1, false);
             CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('failures') <= {times} THEN
                    RAISE EXCEPTION '{TEXT}' USING ERRCODE = '{code}';
                END IF;
                RETURN NULL;
             END $$;
             CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON orders EXECUTE FUNCTION fail();"
        );
        self.execute(&sql).await;
    }

    async fn order(&self) -> TestResponse {
        let lines = [(&self.product, 1)];
        self.app.place_order(&self.customer, &lines).await
    }

    async fn list_orders(&self) -> TestResponse {
        self.app.get("/v1/orders", &self.customer).await
    }

    /// Has each connection of the pool prepare the statements of reads, orders and log-ins.
    async fn warm_up(&self, email: &str) {
        for _ in 0..2 {
            join_all((0..20).map(|_| self.order())).await;
            join_all((0..20).map(|_| self.list_orders())).await;
            join_all((0..4).map(|_| self.app.log_in(email))).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_decides_on_response() {
    let shop = Shop::start().await;
    for (code, status, slug) in [
        ("55P03", 503, "overloaded"),
        ("57014", 503, "overloaded"),
        ("0A000", 503, "unavailable"),
        ("26000", 503, "unavailable"),
        ("25006", 503, "unavailable"),
        ("40001", 503, "unavailable"),
        ("40P01", 503, "unavailable"),
        ("08006", 503, "unavailable"),
        ("57P01", 503, "unavailable"),
        ("42501", 503, "unavailable"),
        ("42P01", 503, "unavailable"),
        ("53100", 503, "unavailable"),
        ("53200", 503, "unavailable"),
        ("58030", 503, "unavailable"),
        ("XX000", 500, "internal"),
        ("42703", 500, "internal"),
        ("P0001", 500, "internal"),
    ] {
        shop.fail_orders(code, 1000).await;
        let failed = shop.order().await;
        failed.expect_problem(status, slug);
        let retry_after = failed.header("retry-after");
        assert_eq!(retry_after.is_some(), status == 503, "{code}");
        shop.execute("DROP TRIGGER fail ON orders").await;
        shop.order().await.expect(201);
    }
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_order_is_retried() {
    let shop = Shop::start().await;
    for code in ["0A000", "26000", "25006", "40001", "40P01"] {
        shop.fail_orders(code, 1).await;
        shop.order().await.expect(201);
    }
    let orders = shop.app.database.count_rows("orders").await;
    assert_eq!(orders, 5, "each order was placed once");
    shop.app.finish().await;
}

/// The commit may be unknown after the loss of a connection, so the client decides.
#[tokio::test(flavor = "multi_thread")]
async fn order_on_lost_connection_is_not_retried() {
    let shop = Shop::start().await;
    for code in ["08006", "57P01", "57014", "55P03", "53100"] {
        shop.fail_orders(code, 1).await;
        shop.order().await.expect(503);
    }
    assert_eq!(shop.app.database.count_rows("orders").await, 0);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_column_type_costs_no_request() {
    let shop = Shop::start().await;
    let email = "changed@example.com";
    let body = json!({"email": email, "password": PASSWORD, "name": "Customer"});
    shop.app.post("/v1/users", "", &body).await.expect(201);
    shop.warm_up(email).await;
    shop.execute(
        "ALTER TABLE users ALTER COLUMN name TYPE varchar(300);
         ALTER TABLE orders ALTER COLUMN status TYPE varchar(60);
         ALTER TABLE products ALTER COLUMN name TYPE varchar(400)",
    )
    .await;

    shop.app.log_in(email).await;
    shop.list_orders().await.expect(200);
    shop.order().await.expect(201);
    for _ in 0..20 {
        shop.app
            .get("/v1/users/me", &shop.customer)
            .await
            .expect(200);
        shop.app.get("/v1/products?search=a", "").await.expect(200);
        shop.order().await.expect(201);
    }
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deallocated_statements_cost_no_request() {
    let shop = Shop::start().await;
    shop.order().await.expect(201);
    shop.list_orders().await.expect(200);
    for reset in ["DEALLOCATE ALL", "DISCARD ALL"] {
        let database = &shop.app.app.services.database;
        // All connections of the pool, since the next request may get any.
        let mut lent = Vec::new();
        for _ in 0..10 {
            lent.push(database.connection().await.unwrap());
        }
        for conn in &mut lent {
            conn.batch_execute(reset).await.unwrap();
        }
        drop(lent);
        shop.order().await.expect(201);
        shop.list_orders().await.expect(200);
    }
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_table_is_503_until_it_is_back() {
    let shop = Shop::start().await;
    shop.order().await.expect(201);
    shop.execute("ALTER TABLE orders RENAME TO orders_moved")
        .await;
    shop.list_orders().await.expect_problem(503, "unavailable");
    shop.order().await.expect_problem(503, "unavailable");
    shop.execute("ALTER TABLE orders_moved RENAME TO orders")
        .await;
    shop.list_orders().await.expect(200);
    shop.order().await.expect(201);
    shop.app.finish().await;
}

/// A real lock timeout, with German texts where the server has them.
#[tokio::test(flavor = "multi_thread")]
async fn lock_timeout_is_503_in_any_language() {
    let app = TestApp::start_with(|settings| {
        settings.database.lock_timeout = std::time::Duration::from_millis(100);
    })
    .await;
    let product = app.create_product(&app.create_admin().await, 100, 10).await;
    let customer = app.register_customer().await;
    let mut conn = app.database.connect().await;
    let name = app.database.name();
    for locale in ["de_DE.utf8", "de_DE.UTF-8"] {
        let german = format!("ALTER DATABASE {name} SET lc_messages = '{locale}'");
        let _only_where_installed = conn.batch_execute(&german).await;
    }
    app.database.terminate_sessions().await;

    let lock = app.database.lock_rows("SELECT * FROM products").await;
    let order = send(app.order_request("key", &[(&product, 1)]), &customer);
    order.await.expect_problem(503, "overloaded");
    lock.release().await;
    send(app.order_request("key", &[(&product, 1)]), &customer)
        .await
        .expect(201);
    app.finish().await;
}
