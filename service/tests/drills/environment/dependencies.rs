//! The Postgres and the Redis of a drill, to be killed, frozen and started again.

use std::time::Instant;

use xtask::data_dir::{DataDir, DataRoot, find_checkout};
use xtask::postgres::{Postgres, PostgresOptions};
use xtask::process::ManagedProcess;
use xtask::redis::Redis;
use xtask::servers::{find_or_install_postgres, find_or_install_redis};

/// A killed process loses no power: the operating system still writes its pages. But a commit
/// must have left the process before its response, so `synchronous_commit` stays on.
const OPTIONS: PostgresOptions<'static> = PostgresOptions {
    port: None,
    initdb: &["--auth=password", "--no-sync"],
    settings: &[
        "fsync=off",
        "full_page_writes=off",
        "max_connections=200",
        "random_page_cost=1.1",
    ],
    certificates: None,
};

/// A service that a drill makes fail.
#[derive(Clone, Copy)]
pub enum Dependency {
    Postgres,
    Redis,
}

/// Both of them; removed with the value, in the order of the fields.
pub struct Dependencies {
    redis: Redis,
    postgres: Postgres,
    _data: DataDir,
    pub database_url: String,
    pub redis_url: String,
}

impl Dependencies {
    /// Starts them, which takes a second or two.
    pub fn start() -> Self {
        let root = DataRoot::open(&find_checkout().unwrap()).unwrap();
        let data = root.create_test().unwrap();
        let programs = find_or_install_postgres(None).unwrap();
        let postgres = Postgres::start(&data, programs, OPTIONS).unwrap();
        postgres.create_database("orderly").unwrap();
        let redis = Redis::start(&data, find_or_install_redis().unwrap(), None, &[]).unwrap();
        Self {
            database_url: postgres.url("orderly"),
            redis_url: redis.url(),
            redis,
            postgres,
            _data: data,
        }
    }

    /// Kills all its processes with SIGKILL.
    pub fn kill(&mut self, dependency: Dependency) {
        self.process(dependency).kill().unwrap();
    }

    /// Stops it with SIGSTOP: connections stay open, without a response.
    pub fn freeze(&mut self, dependency: Dependency) {
        self.process(dependency).freeze();
    }

    /// Lets it continue, and returns the time of that.
    pub fn thaw(&mut self, dependency: Dependency) -> Instant {
        self.process(dependency).thaw();
        Instant::now()
    }

    /// Starts it again on the same port with its data, and returns the time at which it is ready.
    pub fn restart(&mut self, dependency: Dependency) -> Instant {
        match dependency {
            Dependency::Postgres => self.postgres.restart().unwrap(),
            Dependency::Redis => self.redis.restart().unwrap(),
        }
        let urls = (self.postgres.url("orderly"), self.redis.url());
        assert_eq!(urls, (self.database_url.clone(), self.redis_url.clone()));
        Instant::now()
    }

    /// Sends a command to Redis, which must succeed.
    pub async fn execute_on_redis(&self, command: &[&str]) {
        let client = redis::Client::open(&*self.redis_url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut request = redis::cmd(command[0]);
        request.arg(&command[1..]);
        request.query_async::<()>(&mut connection).await.unwrap();
    }

    fn process(&mut self, dependency: Dependency) -> &mut ManagedProcess {
        match dependency {
            Dependency::Postgres => self.postgres.process(),
            Dependency::Redis => self.redis.process(),
        }
    }
}
