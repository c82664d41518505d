//! The prebuilt servers, run for real by an account without rights.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::progress::log_progress;
use xtask::servers::prebuilt::{PrebuiltError, PrebuiltServer};

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.data/tools");

/// User and group of the account without rights that root uses.
const UNPRIVILEGED: u32 = 65534;

/// Returns the program, or nothing, with one line, where the server cannot be downloaded.
fn find_or_skip(server: PrebuiltServer) -> Option<PathBuf> {
    match server.find_or_install(Path::new(TOOLS)) {
        Ok(program) => Some(program),
        Err(error @ PrebuiltError::Unavailable { .. }) => {
            log_progress(&format!("skipped: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A folder of an account without rights; removed with the value.
struct UnprivilegedFolder {
    path: PathBuf,
    is_root: bool,
}

impl UnprivilegedFolder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("orderly-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        let is_root = fs::metadata(&path).unwrap().uid() == 0;
        if is_root {
            chown(&path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        Self { path, is_root }
    }

    /// Returns a command that this account runs, without the variables of the test.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        command.stdin(Stdio::null());
        if self.is_root {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        command
    }
}

impl Drop for UnprivilegedFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A running Postgres; stopped with the value.
struct PrebuiltPostgres {
    bin: PathBuf,
    folder: UnprivilegedFolder,
}

impl PrebuiltPostgres {
    fn start(initdb: &Path) -> Self {
        let bin = initdb.parent().unwrap().to_owned();
        let folder = UnprivilegedFolder::new("postgres");
        let server = Self { bin, folder };
        let options = [
            "--encoding=UTF8",
            "--no-locale",
            "--auth=trust",
            "--no-sync",
        ];
        server.run("initdb", &["--username=orderly"], &options);
        let socket = format!("-h '' -k {}", server.folder.path.display());
        let log = server.folder.path.join("log").display().to_string();
        server.run(
            "pg_ctl",
            &["start", "-w", "-s"],
            &["-o", &socket, "-l", &log],
        );
        server
    }

    /// Runs a program of the server on its data.
    fn run(&self, program: &str, arguments: &[&str], options: &[&str]) {
        let mut command = self.command(program);
        command
            .args(arguments)
            .arg("-D")
            .arg(self.folder.path.join("data"));
        // The server inherits the pipes of its program: without an end, a read of them waits.
        let status = command
            .args(options)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{command:?}");
    }

    /// Runs a client program, and returns its output.
    fn run_client(&self, program: &str, arguments: &[&str]) -> String {
        let mut client = self.command(program);
        client
            .arg("-h")
            .arg(&self.folder.path)
            .args(["-U", "orderly"]);
        let output = client.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, program: &str) -> Command {
        self.folder.command(&self.bin.join(program))
    }
}

impl Drop for PrebuiltPostgres {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-m", "immediate", "-w", "-s", "-D"]);
        let _ = stop.arg(self.folder.path.join("data")).status();
    }
}

#[test]
fn prebuilt_postgres_runs_as_unprivileged_user() {
    let Some(initdb) = find_or_skip(PrebuiltServer::POSTGRES) else {
        return;
    };
    let server = PrebuiltPostgres::start(&initdb);
    let query = "SET timezone = 'UTC'; SELECT current_setting('server_version_num')::int / 10000";
    let major = server.run_client("psql", &["-X", "-q", "-A", "-t", "-c", query, "postgres"]);
    assert_eq!(major, "17\n");
    server.run_client("pgbench", &["-i", "-q", "-s", "1", "postgres"]);
    server.run_client("pgbench", &["-n", "-t", "10", "postgres"]);
    let dump = server.run_client("pg_dump", &["--schema-only", "postgres"]);
    assert!(
        dump.contains("CREATE TABLE public.pgbench_accounts"),
        "{dump}"
    );
}

/// A running Redis; killed with the value.
struct PrebuiltRedis {
    process: Child,
    folder: UnprivilegedFolder,
}

impl PrebuiltRedis {
    fn start(program: &Path) -> Self {
        let folder = UnprivilegedFolder::new("redis");
        let mut command = folder.command(program);
        command.args(["--port", "0", "--save", "", "--unixsocket"]);
        command
            .arg(folder.path.join("socket"))
            .stdout(Stdio::null());
        let process = command.spawn().unwrap();
        Self { process, folder }
    }

    fn connect(&self) -> UnixStream {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match UnixStream::connect(self.folder.path.join("socket")) {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for PrebuiltRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prebuilt_redis_runs_as_unprivileged_user() {
    let Some(program) = find_or_skip(PrebuiltServer::REDIS) else {
        return;
    };
    let server = PrebuiltRedis::start(&program);
    let mut connection = server.connect();
    connection.write_all(b"INFO server\r\nQUIT\r\n").unwrap();
    let mut info = String::new();
    connection.read_to_string(&mut info).unwrap();
    // The line by which the commands recognize their Redis.
    let line = format!("\r\nprocess_id:{}\r\n", server.process.id());
    assert!(info.contains(&line), "{info}");
}
