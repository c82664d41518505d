//! The environment of a drill: dependencies, gateway, replicas and load.

pub mod dependencies;
pub mod gateway;
pub mod invariants;
pub mod load_balancer;
pub mod pause_points;
pub mod process;
pub mod replica;
pub mod report;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::load::{LoadGenerator, LoadResults};
use crate::support::sql::query_texts;
use dependencies::Dependencies;
use gateway::Gateway;
use replica::Replica;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config");

/// What paces retries, leases and probes, cut down so that a drill takes seconds. Whoever waits
/// for the database may wait for long: a busy machine must not look like a lost dependency.
const SHORT_INTERVALS: &[&str] = &[
    "http.slow_request_threshold=1s",
    "http.request_timeout=40s",
    "orders.idempotency_wait_timeout=500ms",
    "database.acquire_timeout=30s",
    "database.connect_timeout=30s",
    "database.lock_timeout=25s",
    "database.statement_timeout=30s",
    "database.tcp_user_timeout=40s",
    "payments.connect_timeout=500ms",
    "payments.read_timeout=1500ms",
    "payments.timeout=2s",
    "payment_jobs.lease_duration=5s",
    "payment_jobs.poll_interval=200ms",
    "payment_jobs.backoff_base=100ms",
    "payment_jobs.backoff_cap=1s",
    "events.poll_interval=200ms",
    "breaker.window=5s",
    "breaker.slow_call_duration_threshold=1s",
    "breaker.open_duration=1s",
    "shutdown.drain_delay=0s",
    // A busy machine is no overload; `overload` has bounds of its own.
    "load_shedding.min_limit=100",
    // All clients come from one address.
    "rate_limit.login_burst=100",
    "rate_limit.register_burst=100",
];

/// Drills take turns, whatever `--test-threads` says.
static TURN: Mutex<()> = Mutex::const_new(());

/// The services, the gateway and the replicas of one drill. All end with the value.
pub struct DrillEnvironment {
    pub replicas: Vec<Replica>,
    pub gateway: Gateway,
    pub dependencies: Dependencies,
    pub folder: PathBuf,
    products: Vec<Uuid>,
    drill: &'static str,
    _turn: MutexGuard<'static, ()>,
}

impl DrillEnvironment {
    /// With one replica, which has these `settings` besides the quick ones.
    pub async fn start(drill: &'static str, settings: &[&str]) -> Self {
        Self::start_with_replicas(drill, 1, settings).await
    }

    /// With several replicas on the same database.
    pub async fn start_with_replicas(
        drill: &'static str,
        number: usize,
        settings: &[&str],
    ) -> Self {
        let turn = TURN.lock().await;
        let name = format!("orderly-{drill}-{}", Uuid::now_v7().simple());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let dependencies = Dependencies::start();
        let mut env = Self {
            replicas: Vec::new(),
            gateway: Gateway::start(&folder).await,
            dependencies,
            folder,
            products: Vec::new(),
            drill,
            _turn: turn,
        };
        Replica::migrate(&env.folder, &env.dependencies).await;
        env.products = insert_products(&mut env.database().await).await;
        let gateway = format!("payments.gateway_url={}", env.gateway.url());
        let settings: Vec<String> = (SHORT_INTERVALS.iter().chain(settings))
            .map(ToString::to_string)
            .chain([gateway])
            .collect();
        for number in 1..=number {
            let name = format!("replica-{number}");
            let replica = Replica::start(&env.folder, &name, &env.dependencies, &settings).await;
            env.replicas.push(replica);
        }
        env
    }

    /// The only replica.
    pub fn service(&mut self) -> &mut Replica {
        &mut self.replicas[0]
    }

    /// Clients for all replicas, so many actions a second.
    pub async fn start_load(&self, per_second: u32) -> LoadGenerator {
        let targets = self.replicas.iter().map(|replica| replica.api).collect();
        self.start_load_at(targets, per_second).await
    }

    /// Clients for these addresses.
    pub async fn start_load_at(&self, targets: Vec<SocketAddr>, per_second: u32) -> LoadGenerator {
        let load = LoadGenerator::start(targets, self.products.clone(), per_second).await;
        load.wait_until_healthy().await;
        load
    }

    /// A session of the drill's own.
    pub async fn database(&self) -> AsyncPgConnection {
        let url = &self.dependencies.database_url;
        AsyncPgConnection::establish(url).await.unwrap()
    }

    /// Waits until all payments and events are done, checks the invariants, and reports.
    pub async fn finish(self, results: &LoadResults, recovered_in: Duration) {
        invariants::check(&mut self.database().await, &self.gateway, results).await;
        let max_latency = Some(results.max_latency(|_| true));
        let outcomes = results.to_string();
        report::add_row(
            self.drill,
            &outcomes,
            max_latency,
            Some(recovered_in),
            "passed",
        );
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Drop for DrillEnvironment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = format!("FAILED, see {}", self.folder.display());
            report::add_row(self.drill, "-", None, None, &logs);
        }
    }
}

/// Inserts ten products, with more stock of each than a drill can sell.
async fn insert_products(conn: &mut AsyncPgConnection) -> Vec<Uuid> {
    let insert = "INSERT INTO products (id, sku, name, price_minor, currency, stock, \
         stock_received, created_at, updated_at) \
         SELECT gen_random_uuid(), 'DRILL-' || n, 'Thing ' || n, 100 + n, 'EUR', 1000000, 1000000, \
         now(), now() FROM generate_series(1, 10) n RETURNING id::text AS value";
    let ids = query_texts(conn, insert).await;
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

/// Keeps a fault in place for that long. The only sleep of a drill.
pub async fn hold_for(time: Duration) {
    tokio::time::sleep(time).await;
}

/// For operators' requests. Not longer than a probe waits: what hangs is not well.
fn client() -> reqwest::Client {
    let timeout = Duration::from_secs(2);
    let client = reqwest::Client::builder().no_proxy().timeout(timeout);
    client.build().unwrap()
}
