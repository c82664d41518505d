//! `make services` and `make test`: a command with a real, throw-away Postgres and Redis.
//!
//! The command finds them in `ORDERLY_TEST_DATABASE_URL` (a superuser, who may create databases)
//! and `ORDERLY_TEST_REDIS_URL`, and the CA of Postgres' certificate, should it want TLS, in
//! `ORDERLY_TEST_CERTIFICATES`; the programs of Postgres are in `ORDERLY_TEST_POSTGRES_BIN`. Without a command, these are printed, for tests run from an
//! editor. Everything is removed at the end; any number of these can run at once.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use xtask::data_dir::{DataDir, DataRoot, find_checkout};
use xtask::interrupt::check_interrupt;
use xtask::postgres::{Postgres, PostgresOptions};
use xtask::process::{ManagedProcess, Role};
use xtask::program::{exit_code, run_for_output};
use xtask::progress::log_progress;
use xtask::redis::Redis;
use xtask::servers::{find_or_install_postgres, find_or_install_redis};

/// The servers of tests; the first field is stopped first.
pub(crate) struct TestServers {
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    certificates: PathBuf,
    pub(crate) data: DataDir,
}

impl TestServers {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let programs = find_or_install_postgres(None)?;
        let redis = find_or_install_redis()?;
        let data = DataRoot::open(&find_checkout()?)?.create_test()?;
        let certificates = data.path().join("certs");
        run_for_output(Command::new("scripts/certs.sh").arg(&certificates))?;
        // Nothing here has to survive a power cut, and hundreds of tests connect at once.
        // `password` spares a debug build the thousands of hash rounds of SCRAM.
        let options = PostgresOptions {
            initdb: &["--auth=password", "--no-sync"],
            settings: &[
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "max_connections=500",
                "random_page_cost=1.1",
            ],
            certificates: Some(&certificates),
            ..PostgresOptions::default()
        };
        let postgres = Postgres::start(&data, programs, options)?;
        let redis = Redis::start(&data, redis, None, &[])?;
        Ok(Self {
            redis,
            postgres,
            certificates,
            data,
        })
    }

    /// The variables in which tests find the servers.
    fn variables(&self) -> [(&'static str, OsString); 4] {
        [
            (
                "ORDERLY_TEST_DATABASE_URL",
                self.postgres.url("postgres").into(),
            ),
            ("ORDERLY_TEST_REDIS_URL", self.redis.url().into()),
            (
                "ORDERLY_TEST_CERTIFICATES",
                self.certificates.clone().into(),
            ),
            ("ORDERLY_TEST_POSTGRES_BIN", self.postgres.programs().into()),
        ]
    }
}

pub(crate) fn run(command: &[OsString]) -> anyhow::Result<ExitCode> {
    let servers = TestServers::start()?;
    let Some((program, arguments)) = command.split_first() else {
        return print_and_wait(&servers);
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(servers.variables());
    let mut process = ManagedProcess::spawn(Role::Command, &mut command, servers.data.path())?;
    let status = process.wait();
    drop(process);
    // A drill that was stopped has left its servers.
    DataRoot::open(&find_checkout()?)?.remove_stale()?;
    Ok(exit_code(status?))
}

#[expect(clippy::print_stdout, reason = "the caller's shell reads these lines")]
fn print_and_wait(servers: &TestServers) -> anyhow::Result<ExitCode> {
    for (name, value) in servers.variables() {
        println!("export {name}={}", value.display());
    }
    log_progress("Ctrl-C stops them");
    loop {
        check_interrupt()?;
        std::thread::sleep(Duration::from_millis(50));
    }
}
