//! Migrations of releases to come, and a runner for them.

use std::sync::Mutex;
use std::time::Duration;

use orderly::storage::migrations::Migration;
use orderly::storage::migrations::progress::MigrationEvent;
use orderly::storage::migrations::runner::{self, AppliedMigrations, MigrationOptions};
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

use super::database::TestDatabase;

/// A migration after which this version still works.
pub const COMPATIBLE: Migration = Migration {
    name: "2999-12-31-000001_nickname",
    sql: "-- Oldest compatible version: 20261120000001\n\
          SET LOCAL lock_timeout = '1s';\n\
          ALTER TABLE users ADD COLUMN nickname text;",
};

/// A migration after which this version no longer works.
pub const INCOMPATIBLE: Migration = Migration {
    name: "2999-12-31-000002_full_name",
    sql: "-- Oldest compatible version: 29991231000002\n\
          SET LOCAL lock_timeout = '1s';\n\
          ALTER TABLE users RENAME COLUMN name TO full_name;",
};

/// A migration with a foreign key, which locks `orders` against writes.
pub const REFERENCES_ORDERS: Migration = Migration {
    name: "2999-12-31-000003_returns",
    sql: "-- Oldest compatible version: 20261120000001\n\
          SET LOCAL lock_timeout = '1s';\n\
          CREATE TABLE returns (order_id uuid PRIMARY KEY REFERENCES orders (id));",
};

/// Runs migrations, without retries.
pub async fn apply(url: &str, migrations: &[Migration]) -> anyhow::Result<AppliedMigrations> {
    let run = MigrationRun::new(Duration::ZERO);
    run.apply(url, migrations).await
}

/// Runs the migrations of this version and one of a release to come.
pub async fn upgrade(database: &TestDatabase, newer: Migration) {
    let mut migrations = orderly::storage::migrations::MIGRATIONS.to_vec();
    migrations.push(newer);
    apply(&database.url, &migrations).await.unwrap();
}

/// A run of migrations whose progress a test reads.
pub struct MigrationRun {
    retry_for: Duration,
    pub stop: CancellationToken,
    pub events: Mutex<Vec<MigrationEvent>>,
}

impl MigrationRun {
    /// A run that retries for that long.
    pub fn new(retry_for: Duration) -> Self {
        Self {
            retry_for,
            stop: CancellationToken::new(),
            events: Mutex::default(),
        }
    }

    /// Applies the missing ones.
    pub async fn apply(
        &self,
        url: &str,
        migrations: &[Migration],
    ) -> anyhow::Result<AppliedMigrations> {
        let on_event = |event| self.events.lock().unwrap().push(event);
        let options = MigrationOptions {
            retry_for: self.retry_for,
            stop: self.stop.clone(),
            on_event: &on_event,
        };
        runner::apply(&mut connect(url).await, migrations, options).await
    }

    /// Returns the number of failed attempts.
    pub fn retries(&self) -> usize {
        let events = self.events.lock().unwrap();
        let is_retry = |event: &&MigrationEvent| matches!(event, MigrationEvent::Retrying { .. });
        events.iter().filter(is_retry).count()
    }

    /// Returns whether the run waits for another one.
    pub fn is_waiting(&self) -> bool {
        let events = self.events.lock().unwrap();
        let is_waiting = |event: &MigrationEvent| matches!(event, MigrationEvent::Waiting { .. });
        events.iter().any(is_waiting)
    }
}

/// Opens a session for the runner.
pub async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}
