//! A Redis of the test's own that speaks TLS and asks for a password.

use std::process::{Child, Command, Stdio};

use super::certificates::LeafCertificate;
use super::eventually::eventually;

/// A `redis-server` on a TLS port of its own; gone with the value.
pub struct TlsRedisServer {
    port: u16,
    password: String,
    process: Child,
}

impl TlsRedisServer {
    /// Starts one with that certificate, and waits until it listens.
    pub async fn start(leaf: &LeafCertificate, password: &str) -> Self {
        // Somebody may take the port first; then there is another.
        for _ in 0..5 {
            let port = free_port();
            let mut server = Self {
                port,
                password: password.to_owned(),
                process: spawn(port, leaf, password),
            };
            if server.wait_until_listening().await {
                return server;
            }
        }
        panic!("redis-server takes no port");
    }

    pub fn url(&self) -> String {
        format!("rediss://:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// `false` if it ended instead.
    async fn wait_until_listening(&mut self) -> bool {
        let address = ("127.0.0.1", self.port);
        let process = &mut self.process;
        eventually("Redis listens", async || {
            if process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let connected = tokio::net::TcpStream::connect(address).await;
            connected.ok().map(|_| true)
        })
        .await
    }
}

impl Drop for TlsRedisServer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(port: u16, leaf: &LeafCertificate, password: &str) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--bind", "127.0.0.1", "--save", ""])
        .args(["--tls-port", &port.to_string(), "--requirepass", password])
        .args(["--tls-auth-clients", "no", "--tls-cert-file"])
        .arg(&leaf.certificate)
        .arg("--tls-key-file")
        .arg(&leaf.key)
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server: run the tests with `make test`")
}
