//! A Redis of the test's own, to be taken away from the service.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use uuid::Uuid;
use xtask::servers::find_or_install_redis;

use super::eventually::eventually;

/// A Redis on a socket of its own; gone with the value.
pub struct RedisServer {
    socket: PathBuf,
    password: String,
    process: Child,
}

impl RedisServer {
    /// Starts one, and waits until it listens.
    pub async fn start() -> Self {
        Self::start_with_password("").await
    }

    /// Starts one that asks for a password, unless that is empty.
    pub async fn start_with_password(password: &str) -> Self {
        let name = format!("orderly-{}.sock", Uuid::new_v4().simple());
        let socket = std::env::temp_dir().join(name);
        let process = spawn(&socket, password);
        let password = password.to_owned();
        let server = Self {
            socket,
            password,
            process,
        };
        server.wait_until_listening().await;
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends it a command, which must succeed.
    pub async fn execute(&self, command: &[&str]) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut request = redis::cmd(command[0]);
        request.arg(&command[1..]);
        request.query_async::<()>(&mut connection).await.unwrap();
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, empty, in the same place.
    pub async fn restart(&mut self) {
        self.process = spawn(&self.socket, &self.password);
        self.wait_until_listening().await;
    }

    async fn wait_until_listening(&self) {
        eventually("Redis listens", async || {
            tokio::net::UnixStream::connect(&self.socket).await.ok()
        })
        .await;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn spawn(socket: &Path, password: &str) -> Child {
    let program = find_or_install_redis().expect("run the tests with `make test`");
    Command::new(program)
        .args(["--port", "0", "--save", "", "--requirepass", password])
        .arg("--unixsocket")
        .arg(socket)
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .spawn()
        .expect("Redis does not start")
}
