//! A service of the test's own: in this process, on free ports, over real HTTP.

use std::sync::Once;
use std::time::Duration;

use orderly::app::App;
use orderly::config::{Environment, LogConfig, Settings, TelemetryConfig};
use orderly::telemetry;
use reqwest::{Client, Method, RequestBuilder};
use sandbox_gateway::SandboxGateway;
use serde_json::Value;

use super::database::TestDatabase;
use super::eventually::eventually;
use super::gateway::start_gateway;
use super::invariants;
use super::response::TestResponse;

/// A running service with its database and its payment gateway.
pub struct TestApp {
    pub app: App,
    pub database: TestDatabase,
    pub gateway: SandboxGateway,
    pub client: Client,
    settings: Settings,
}

impl TestApp {
    /// Starts one with the settings of a test.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts one with some settings changed.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(TestDatabase::new().await, change).await
    }

    /// Starts one on a database of the test's choice, with some settings changed.
    pub async fn start_on(database: TestDatabase, change: impl FnOnce(&mut Settings)) -> Self {
        start_logging();
        let gateway = start_gateway().await;
        let mut settings = test_settings(&database, &gateway);
        change(&mut settings);
        Self {
            app: App::start(&settings).await.unwrap(),
            database,
            gateway,
            client: client(),
            settings,
        }
    }

    /// A second replica with the same settings.
    pub async fn start_replica(&self) -> App {
        self.start_replica_with(|_| {}).await
    }

    /// A second replica with some settings changed.
    pub async fn start_replica_with(&self, change: impl FnOnce(&mut Settings)) -> App {
        let mut settings = self.settings.clone();
        change(&mut settings);
        App::start(&settings).await.unwrap()
    }

    /// Checks the invariants, then stops everything.
    pub async fn finish(self) {
        invariants::check(&self.database, &self.gateway).await;
        drop(self.client);
        self.app.stop().await.unwrap();
        self.gateway.stop().await.unwrap();
    }

    /// A request to the API, to be added to.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.app.address);
        self.client.request(method, url)
    }

    /// `GET`, with an access token if it is not empty.
    pub async fn get(&self, path: &str, token: &str) -> TestResponse {
        send(self.request(Method::GET, path), token).await
    }

    /// `POST` of JSON, with an access token if it is not empty.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> TestResponse {
        send(self.request(Method::POST, path).json(body), token).await
    }

    /// `PATCH` of JSON, with an access token if it is not empty.
    pub async fn patch(&self, path: &str, token: &str, body: &Value) -> TestResponse {
        send(self.request(Method::PATCH, path).json(body), token).await
    }

    /// `GET` on the admin listener.
    pub async fn get_admin(&self, path: &str) -> TestResponse {
        let url = format!("http://{}{path}", self.app.admin_address);
        TestResponse::read(self.client.get(url).send().await.unwrap()).await
    }

    /// The value of a metric, by its name and labels as `/metrics` writes them.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        self.metric_of(&self.app, series).await
    }

    /// The same of a replica.
    pub async fn metric_of(&self, replica: &App, series: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", replica.admin_address);
        let text = send(self.client.get(url), "").await.text;
        let line = text.lines().find_map(|line| line.strip_prefix(series))?;
        line.trim().parse().ok()
    }

    /// Waits until a metric has that value. What is counted after a commit may come a moment
    /// later than the row that the commit was about.
    pub async fn wait_for_metric(&self, series: &str, expected: f64) {
        eventually(&format!("{series} is {expected}"), async || {
            (self.metric(&format!("{series} ")).await == Some(expected)).then_some(())
        })
        .await;
    }

    /// Makes the gateway fail; see `PUT /faults`.
    pub async fn set_faults(&self, faults: &Value) {
        let url = format!("{}/faults", self.gateway.url());
        let response = self.client.put(url).json(faults).send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{}",
            response.text().await.unwrap()
        );
    }
}

/// Sends a request, with an access token if it is not empty.
pub async fn send(request: RequestBuilder, token: &str) -> TestResponse {
    let request = match token {
        "" => request,
        token => request.bearer_auth(token),
    };
    TestResponse::read(request.send().await.unwrap()).await
}

/// A client that keeps no idle connection, so that a server stops at once.
fn client() -> Client {
    Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

/// The defaults, with timeouts so long that a busy machine fails no test. A test of a
/// timeout sets its own.
pub fn lenient_timeouts() -> Settings {
    let mut settings = Settings {
        environment: Environment::Test,
        ..Settings::default()
    };
    settings.http.request_timeout = Duration::from_mins(1);
    settings.health.timeout = Duration::from_secs(20);
    settings.database.acquire_timeout = Duration::from_secs(50);
    settings.database.connect_timeout = Duration::from_secs(50);
    settings.database.statement_timeout = Duration::from_secs(50);
    settings.database.lock_timeout = Duration::from_secs(45);
    settings.orders.idempotency_wait_timeout = Duration::from_secs(40);
    settings.auth.hash_queue_timeout = Duration::from_secs(50);
    settings.cache.load_timeout = Duration::from_secs(50);
    // A Redis that is only slow would be done without, and its events published again.
    settings.redis.connect_timeout = Duration::from_secs(20);
    settings.redis.response_timeout = Duration::from_secs(20);
    settings.rate_limit.redis_timeout = Duration::from_secs(20);
    settings.breaker.slow_call_duration_threshold = Duration::from_secs(30);
    settings.breaker.redis_slow_call_duration_threshold = Duration::from_secs(30);
    settings
}

/// The settings of a test: lenient timeouts, free ports, quick retries and no Redis.
pub fn test_settings(database: &TestDatabase, gateway: &SandboxGateway) -> Settings {
    let mut settings = lenient_timeouts();
    settings.http.port = 0;
    settings.admin.port = 0;
    settings.database.url = Some(database.url.clone().into());
    settings.database.pool_size = 10;
    settings.payments.gateway_url = gateway.url();
    settings.payment_jobs.poll_interval = Duration::from_millis(100);
    settings.payment_jobs.max_attempts = 1_000_000;
    settings.payment_jobs.min_retry_duration = Duration::ZERO;
    settings.payment_jobs.backoff_base = Duration::from_millis(10);
    settings.payment_jobs.backoff_cap = Duration::from_millis(100);
    settings.order_expiry_jobs = settings.payment_jobs.clone();
    settings.shutdown.drain_delay = Duration::ZERO;
    // Hundreds of log-ins from one address are what a test is.
    settings.rate_limit.enabled = false;
    // A test may be a crowd, and a slow machine is no flood.
    settings.load_shedding.min_limit = 400;
    // Databases have their own, but all tests share one Redis.
    settings.cache.key_prefix = format!("cache:{}", database.name());
    // What another replica or a job has changed is seen at once; a test that is about
    // the cache sets its own.
    settings.cache.local_ttl = Duration::from_millis(1);
    settings.shutdown.drain_timeout = Duration::from_secs(5);
    settings
}

fn start_logging() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let config = LogConfig {
            filter: std::env::var("ORDERLY_TEST_LOG").unwrap_or_else(|_| "off".to_owned()),
            ..LogConfig::default()
        };
        telemetry::start(&config, &TelemetryConfig::default()).unwrap();
    });
}
