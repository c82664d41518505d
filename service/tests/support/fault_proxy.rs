//! A TCP proxy that injects faults: a test disconnects or freezes one dependency of one
//! service, and restores it, without disturbing other tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use orderly::config::Settings;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards TCP connections until a fault is injected.
pub struct FaultProxy {
    address: SocketAddr,
    faults: watch::Sender<ProxyFaults>,
    connections: Arc<AtomicU32>,
}

#[derive(Clone, Copy)]
struct ProxyFaults {
    mode: ProxyMode,
    /// Number of calls of [`FaultProxy::blackhole_existing`].
    blackholes: u32,
    /// Whether one side is not notified that the other has closed its connection.
    delays_close: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum ProxyMode {
    Forwarding,
    /// Connections stay open, and new ones are accepted, but no byte is forwarded: the
    /// server looks frozen.
    Frozen,
    Disconnected,
}

impl FaultProxy {
    /// Starts a proxy to `host:port`; it ends with the runtime.
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let faults = watch::Sender::new(ProxyFaults {
            mode: ProxyMode::Forwarding,
            blackholes: 0,
            delays_close: false,
        });
        let receiver = faults.subscribe();
        let connections = Arc::<AtomicU32>::default();
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                if receiver.borrow().mode != ProxyMode::Disconnected {
                    tokio::spawn(forward(client, target.clone(), receiver.clone()));
                }
            }
        });
        Self {
            address,
            faults,
            connections,
        }
    }

    /// Returns the number of connections that clients have opened, forwarded or not.
    pub fn connection_count(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection and forwards no new one.
    pub fn disconnect(&self) {
        self.set_mode(ProxyMode::Disconnected);
    }

    /// Stops forwarding, with connections open, until [`Self::restore`].
    pub fn freeze(&self) {
        self.set_mode(ProxyMode::Frozen);
    }

    /// Forwards everything again.
    pub fn restore(&self) {
        self.set_mode(ProxyMode::Forwarding);
    }

    /// Stops forwarding for the existing connections for good and closes none of them,
    /// as when a machine behind a proxy loses power. New connections are forwarded.
    pub fn blackhole_existing(&self) {
        self.faults.send_modify(|faults| faults.blackholes += 1);
    }

    /// From now on a connection that one side closes stays open for the other, which
    /// receives nothing more: as with a server that closes its sockets late.
    pub fn delay_close(&self) {
        self.faults.send_modify(|faults| faults.delays_close = true);
    }

    fn set_mode(&self, mode: ProxyMode) {
        self.faults.send_modify(|faults| faults.mode = mode);
    }
}

async fn forward(client: TcpStream, target: String, mut faults: watch::Receiver<ProxyFaults>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::select! {
        () = copy(&mut from_client, &mut to_server, faults.clone()) => {}
        () = copy(&mut from_server, &mut to_client, faults.clone()) => {}
        _ = faults.wait_for(|faults| faults.mode == ProxyMode::Disconnected) => {}
    }
    let may_close = |faults: &ProxyFaults| !faults.delays_close;
    // Fails when the proxy has been dropped.
    let _proxy_dropped = faults.wait_for(may_close).await;
}

/// Copies until one side closes its connection.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut faults: watch::Receiver<ProxyFaults>,
) {
    let blackholes = faults.borrow().blackholes;
    let may_forward =
        |now: &ProxyFaults| now.mode == ProxyMode::Forwarding && now.blackholes == blackholes;
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if faults.wait_for(may_forward).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Starts a proxy to the tests' Redis.
pub async fn start_redis_proxy() -> FaultProxy {
    FaultProxy::start(host("ORDERLY_TEST_REDIS_URL")).await
}

/// Starts a proxy to the tests' Postgres.
pub async fn start_postgres_proxy() -> FaultProxy {
    FaultProxy::start(postgres_host()).await
}

/// Opens a connection to the tests' Redis.
pub async fn connect_redis() -> redis::aio::MultiplexedConnection {
    let url = format!("redis://{}/", host("ORDERLY_TEST_REDIS_URL"));
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Makes a service connect to Redis through the proxy.
pub fn use_redis_proxy(proxy: &FaultProxy, settings: &mut Settings) {
    settings.redis.url = Some(format!("redis://{}/", proxy.address()).into());
    settings.breaker.open_duration = Duration::from_millis(100);
    // `/metrics` waits for the health checks, which wait for a frozen proxy.
    settings.health.timeout = Duration::from_secs(1);
}

/// Makes a service connect to Postgres through the proxy.
pub fn use_postgres_proxy(proxy: &FaultProxy, settings: &mut Settings) {
    use_postgres_at(proxy.address(), settings);
}

/// Makes a service connect to Postgres through a proxy at that address.
pub fn use_postgres_at(proxy: SocketAddr, settings: &mut Settings) {
    let url = settings.database.url.as_ref().unwrap().expose();
    let url = url.replace(&postgres_host(), &proxy.to_string());
    settings.database.url = Some(url.into());
}

/// The `host:port` of the tests' Postgres.
pub fn postgres_host() -> String {
    host("ORDERLY_TEST_DATABASE_URL")
}

/// The `host:port` in a URL.
fn host(variable: &str) -> String {
    let url = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with `make test`"));
    let (_, rest) = url.split_once("://").unwrap();
    let (authority, _) = rest.split_once('/').unwrap();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    host.to_owned()
}
