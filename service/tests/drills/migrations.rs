//! A migration under load: it must not stop customers, whatever else holds its tables.

use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use orderly::storage::migrations::MIGRATIONS;

use crate::environment::{DrillEnvironment, hold_for};
use crate::load::AttemptOutcome::Status;
use crate::support::migrations::{COMPATIBLE, MigrationRun, REFERENCES_ORDERS};

/// Time for which a forgotten transaction is open.
const OPEN: Duration = Duration::from_secs(10);
/// An order waits for one attempt of the migration (1 s), and a busy machine is slow; without the lock timeout it waits
/// for as long as the transaction is open.
const MAX_LATENCY: Duration = Duration::from_secs(6);
const MAX_RECOVERY: Duration = Duration::from_secs(20);

/// Runbook: `docs/runbooks/migration_under_load.md`
///
/// A transaction that has written to `orders` stays open. A migration of the next release needs a lock that waits for
/// it, and new orders wait behind the migration. Then the version before is restarted on the new schema.
#[tokio::test(flavor = "multi_thread")]
async fn migration_under_load() {
    let mut env = DrillEnvironment::start("migration_under_load", &[]).await;
    let load = env.start_load(20).await;

    let mut forgotten = env.database().await;
    let write = "BEGIN; LOCK TABLE orders IN ROW EXCLUSIVE MODE";
    forgotten.batch_execute(write).await.unwrap();
    let url = env.dependencies.database_url.clone();
    let run = MigrationRun::new(Duration::from_mins(5));
    let migrations = [MIGRATIONS, &[COMPATIBLE, REFERENCES_ORDERS]].concat();
    let commit = async {
        hold_for(OPEN).await;
        forgotten.batch_execute("COMMIT").await.unwrap();
        Instant::now()
    };
    let (applied, committed_at) = tokio::join!(run.apply(&url, &migrations), commit);
    assert_eq!(
        applied.unwrap().applied,
        ["29991231000001", "29991231000003"]
    );
    assert!(run.retries() >= 2, "the migration never waited for a lock");
    let recovered = load
        .assert_recovery_within(MAX_RECOVERY, committed_at)
        .await;

    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(MAX_LATENCY);

    let folder = env.folder.clone();
    env.service().stop().await;
    env.service().restart(&folder).await;
    env.finish(&results, recovered).await;
}
