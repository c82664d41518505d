//! What a drill happens on.

pub mod books;
pub mod gateway;
pub mod moments;
pub mod process;
pub mod proxy;
pub mod replica;
pub mod report;
pub mod services;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::load::{Load, Seen};
use gateway::Gateway;
use replica::Replica;
use services::Services;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config");

/// What paces retries, leases and probes, cut down so that a drill takes seconds. Whoever waits
/// for the database may wait for long: a busy machine must not look like a lost dependency.
const QUICK: &[&str] = &[
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
    "payments.lease_duration=5s",
    "payments.poll_interval=200ms",
    "payments.backoff_base=100ms",
    "payments.backoff_cap=1s",
    "events.poll_interval=200ms",
    "breaker.window=5s",
    "breaker.slow_call_duration_threshold=1s",
    "breaker.open_duration=1s",
    "shutdown.drain_delay=0s",
    // A busy machine is no overload; `overload` has bounds of its own.
    "load_shedding.min_limit=100",
    // All customers come from one address.
    "rate_limit.login_burst=100",
    "rate_limit.register_burst=100",
];

/// Drills take turns, whatever `--test-threads` says.
static TURN: Mutex<()> = Mutex::const_new(());

/// The services, the gateway and the replicas of one drill. All end with the value.
pub struct Stage {
    pub replicas: Vec<Replica>,
    pub gateway: Gateway,
    pub services: Services,
    pub folder: PathBuf,
    products: Vec<Uuid>,
    drill: &'static str,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// With one replica, which has these `settings` besides the quick ones.
    pub async fn set(drill: &'static str, settings: &[&str]) -> Self {
        Self::with_replicas(drill, 1, settings).await
    }

    /// With several replicas on the same database.
    pub async fn with_replicas(drill: &'static str, number: usize, settings: &[&str]) -> Self {
        let turn = TURN.lock().await;
        let name = format!("orderly-{drill}-{}", Uuid::now_v7().simple());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let services = Services::start(&folder);
        let mut stage = Self {
            replicas: Vec::new(),
            gateway: Gateway::start(&folder).await,
            services,
            folder,
            products: Vec::new(),
            drill,
            _turn: turn,
        };
        Replica::migrate(&stage.folder, &stage.services).await;
        stage.products = books::stock_up(&mut stage.database().await).await;
        let gateway = format!("payments.gateway_url={}", stage.gateway.url());
        let settings: Vec<String> = (QUICK.iter().chain(settings))
            .map(ToString::to_string)
            .chain([gateway])
            .collect();
        for number in 1..=number {
            let name = format!("replica-{number}");
            let replica = Replica::start(&stage.folder, &name, &stage.services, &settings).await;
            stage.replicas.push(replica);
        }
        stage
    }

    /// The only replica.
    pub fn service(&mut self) -> &mut Replica {
        &mut self.replicas[0]
    }

    /// Customers for all replicas, so many actions a second.
    pub async fn load(&self, per_second: u32) -> Load {
        let targets = self.replicas.iter().map(|replica| replica.api).collect();
        self.load_at(targets, per_second).await
    }

    /// Customers for these addresses.
    pub async fn load_at(&self, targets: Vec<SocketAddr>, per_second: u32) -> Load {
        let load = Load::start(targets, self.products.clone(), per_second).await;
        load.flows().await;
        load
    }

    /// A session of the drill's own.
    pub async fn database(&self) -> AsyncPgConnection {
        let url = &self.services.database_url;
        AsyncPgConnection::establish(url).await.unwrap()
    }

    /// Waits until all payments and events are done, checks the books, and reports.
    pub async fn finish(self, seen: &Seen, recovered_in: Duration) {
        books::check(&mut self.database().await, &self.gateway, seen).await;
        let longest_wait = Some(seen.longest_wait(|_| true));
        let saw = seen.to_string();
        report::row(self.drill, &saw, longest_wait, Some(recovered_in), "kept");
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = format!("BROKEN, see {}", self.folder.display());
            report::row(self.drill, "-", None, None, &logs);
        }
    }
}

/// How long something stays away. The only sleep of a drill.
pub async fn keep_it_so(time: Duration) {
    tokio::time::sleep(time).await;
}

/// For operators' requests. Not longer than a probe waits: what hangs is not well.
fn client() -> reqwest::Client {
    let patience = Duration::from_secs(2);
    let client = reqwest::Client::builder().no_proxy().timeout(patience);
    client.build().unwrap()
}

/// A port that was free a moment ago, for a program that can't say which it took.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
