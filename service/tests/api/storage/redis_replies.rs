//! Error replies of Redis: the client leaves a server that is not the right one, and the service
//! does without one that is not able.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orderly::config::{BreakerConfig, RedisConfig};
use orderly::redis_client::{RedisClient, RedisClientError};
use orderly::resilience::breaker::Breaker;
use orderly::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::redis_server::RedisServer;

/// A port that refuses connections.
const NO_PRIMARY: [&str; 3] = ["REPLICAOF", "127.0.0.1", "1"];
const PRIMARY: [&str; 3] = ["REPLICAOF", "NO", "ONE"];

/// A client whose breaker stays closed.
fn client(url: &str) -> RedisClient {
    let config = RedisConfig {
        backoff_base: Duration::from_millis(10),
        backoff_cap: Duration::from_millis(50),
        connect_timeout: Duration::from_secs(20),
        response_timeout: Duration::from_secs(20),
        ..RedisConfig::default()
    };
    let breaker_config = BreakerConfig {
        minimum_calls: 100_000,
        ..BreakerConfig::default()
    };
    let metrics = Metrics::new().unwrap();
    let breaker = Breaker::new("redis", breaker_config, metrics.breakers);
    let latency = metrics.dependencies.redis_command_duration;
    RedisClient::new(url, &config, breaker, latency, Handle::current()).unwrap()
}

async fn write(client: &RedisClient) -> Result<(), RedisClientError> {
    let write = client.run("SET", |mut connection| async move {
        let mut set = redis::cmd("SET");
        set.arg("key").arg("value");
        set.query_async(&mut connection).await
    });
    write.await
}

/// A write within a transaction, as the events are appended.
async fn write_in_transaction(client: &RedisClient) -> Result<(), RedisClientError> {
    let write = client.run("SET", |mut connection| async move {
        let mut pipeline = redis::pipe();
        pipeline.atomic().set("key", "value");
        pipeline.exec_async(&mut connection).await
    });
    write.await
}

/// A write within a script, as the cache and the rate limits make it.
async fn write_in_script(client: &RedisClient) -> Result<(), RedisClientError> {
    let write = client.run("EVALSHA", |mut connection| async move {
        let script = redis::Script::new("redis.call('SET', KEYS[1], 1)");
        script.key("key").invoke_async(&mut connection).await
    });
    write.await
}

/// Another name for a server, which can be given to another one, like the address of a primary.
struct Address(PathBuf);

impl Address {
    fn of(server: &RedisServer) -> Self {
        let address = server.socket().with_extension("address");
        symlink(server.socket(), &address).unwrap();
        Self(address)
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.0.display())
    }

    fn move_to(&self, socket: &Path) {
        std::fs::remove_file(&self.0).unwrap();
        symlink(socket, &self.0).unwrap();
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_read_only_replica_for_new_primary() {
    let (demoted, promoted) = (RedisServer::start().await, RedisServer::start().await);
    let address = Address::of(&demoted);
    let client = client(&address.url());
    write(&client).await.unwrap();

    demoted.execute(&NO_PRIMARY).await;
    for error in [
        write(&client).await.unwrap_err(),
        write_in_transaction(&client).await.unwrap_err(),
        write_in_script(&client).await.unwrap_err(),
    ] {
        let error = error.to_string();
        let expected = "Redis failed: the server is a read-only replica (READONLY)";
        assert!(error.starts_with(expected), "{error}");
    }

    // The old primary lives, and so does the connection to it.
    address.move_to(promoted.socket());
    eventually("the new primary is written", async || {
        write(&client).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_reason_and_recovers_without_restart() {
    let cases: [(&[&str], &[&str], &str); 4] = [
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
            "too few replicas for a write (NOREPLICAS)",
        ),
        (
            &["CONFIG", "SET", "maxmemory", "1"],
            &["CONFIG", "SET", "maxmemory", "0"],
            "out of memory (OOM)",
        ),
        (
            &["ACL", "SETUSER", "default", "-set"],
            &["ACL", "SETUSER", "default", "+set"],
            "lacks a permission (NOPERM)",
        ),
        (&NO_PRIMARY, &PRIMARY, "a read-only replica (READONLY)"),
    ];
    for (fault, repair, reason) in cases {
        let server = RedisServer::start().await;
        let client = client(&server.url());
        write(&client).await.unwrap();
        server.execute(fault).await;
        let error = write(&client).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{fault:?}: {error}");
        server.execute(repair).await;
        eventually("Redis is written again", async || write(&client).await.ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_without_primary_is_left() {
    let (lost, primary) = (RedisServer::start().await, RedisServer::start().await);
    let address = Address::of(&lost);
    let client = client(&address.url());
    let read = async || {
        let read = client.run("GET", |mut connection| async move {
            let key: Option<String> = redis::cmd("GET")
                .arg("key")
                .query_async(&mut connection)
                .await?;
            Ok(key)
        });
        read.await
    };
    read().await.unwrap();
    let refuse_reads = ["CONFIG", "SET", "replica-serve-stale-data", "no"];
    lost.execute(&refuse_reads).await;
    lost.execute(&NO_PRIMARY).await;
    let error = read().await.unwrap_err().to_string();
    assert!(
        error.contains("without its primary (MASTERDOWN)"),
        "{error}"
    );
    address.move_to(primary.socket());
    eventually("the other server is read", async || read().await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_is_named() {
    let server = RedisServer::start_with_password("right").await;
    let url = |password: &str| format!("{}?pass={password}", server.url());
    let error = write(&client(&server.url())).await.unwrap_err().to_string();
    assert!(error.contains("requires a password (NOAUTH)"), "{error}");
    let error = write(&client(&url("wrong"))).await.unwrap_err().to_string();
    assert!(
        error.contains("rejects the user or the password"),
        "{error}"
    );
    write(&client(&url("right"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_program_on_the_port_is_named() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = write(&client(&url)).await.unwrap_err().to_string();
    assert!(
        error.contains("does not speak the protocol of Redis"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_redis_degrades_and_recovers() {
    let server = RedisServer::start().await;
    let url = server.url();
    let app = TestApp::start_with(move |settings| {
        settings.redis.url = Some(url.into());
        settings.redis.backoff_cap = Duration::from_millis(100);
        settings.breaker.open_duration = Duration::from_millis(100);
        settings.health.cache_ttl = Duration::ZERO;
    })
    .await;
    let wait_for = async |status: &str| {
        eventually(&format!("redis is {status}"), async || {
            let health = app.get_admin("/healthz").await.json();
            let check = health["checks"]["redis"].clone();
            (check["status"] == status).then_some(check)
        })
        .await
    };
    wait_for("healthy").await;

    server.execute(&NO_PRIMARY).await;
    let check = wait_for("degraded").await;
    assert!(check["details"]["error"].is_string(), "{check}");
    app.get_admin("/readyz").await.expect(200);
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 100, 5).await;
    let customer = app.register_customer().await;
    app.place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);

    server.execute(&PRIMARY).await;
    wait_for("healthy").await;
    app.finish().await;
}
