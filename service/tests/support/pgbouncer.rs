//! A PgBouncer of the test's own, in transaction mode.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use orderly::config::{Pooler, Settings};
use reqwest::Url;
use uuid::Uuid;
use xtask::port::find_free_port;
use xtask::programs::require_program;

use super::database::server_url;
use super::eventually::eventually;

/// A PgBouncer in front of the server of the tests; ends with the value.
pub struct PgBouncer {
    program: PathBuf,
    configuration: PathBuf,
    port: u16,
    process: Child,
}

impl PgBouncer {
    /// Returns the programs to test with: those of `ORDERLY_TEST_PGBOUNCERS`, separated by `:`, or the
    /// installed one, which is installed first if it is missing.
    pub fn programs() -> Vec<PathBuf> {
        if let Some(paths) = std::env::var_os("ORDERLY_TEST_PGBOUNCERS") {
            return std::env::split_paths(&paths).collect();
        }
        // Debian keeps it off the `PATH` of people.
        let installed = PathBuf::from("/usr/sbin/pgbouncer");
        if installed.exists() {
            return vec![installed];
        }
        vec![require_program("pgbouncer", "pgbouncer", "pgbouncer").unwrap()]
    }

    /// Starts one that has `pool_size` connections to each database, and waits until it listens.
    pub async fn start(program: &Path, pool_size: usize) -> Self {
        Self::start_with(program, pool_size, "").await
    }

    /// Starts one with more lines of configuration.
    pub async fn start_with(program: &Path, pool_size: usize, lines: &str) -> Self {
        let server = Url::parse(&server_url()).unwrap();
        let port = find_free_port().unwrap();
        let name = format!("orderly-pgbouncer-{}.ini", Uuid::new_v4().simple());
        let configuration = std::env::temp_dir().join(name);
        let text = format!(
            "[databases]\n* = host={} port={} user={} password={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = {pool_size}\n\
             max_client_conn = 1000\nlog_connections = 0\nlog_disconnections = 0\n{lines}\n",
            server.host_str().unwrap(),
            server.port().unwrap(),
            server.username(),
            server.password().unwrap(),
        );
        fs::write(&configuration, text).unwrap();
        let mut pgbouncer = Self {
            program: program.to_owned(),
            process: spawn(program, &configuration),
            configuration,
            port,
        };
        pgbouncer.wait_until_listening().await;
        pgbouncer
    }

    /// Has a service use it.
    pub fn serve(&self, settings: &mut Settings) {
        let direct = settings.database.url.clone().unwrap();
        settings.database.url = Some(self.url(direct.expose()).into());
        settings.database.direct_url = Some(direct);
        settings.database.pooler = Pooler::Transaction;
    }

    /// Returns the URL of a database behind it.
    pub fn url(&self, direct: &str) -> String {
        let mut url = Url::parse(direct).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }

    /// Kills it, as a crash would, and starts it again in the same place.
    pub async fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(&self.program, &self.configuration);
        self.wait_until_listening().await;
    }

    async fn wait_until_listening(&mut self) {
        let (process, port) = (&mut self.process, self.port);
        eventually("PgBouncer listens", async || {
            assert_eq!(process.try_wait().unwrap(), None, "PgBouncer has ended");
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .ok()
        })
        .await;
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.configuration);
    }
}

fn spawn(program: &Path, configuration: &Path) -> Child {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        // It rejects root.
        command.args(["-u", "nobody"]);
    }
    command
        .arg("-q")
        .arg(configuration)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("PgBouncer does not start")
}
