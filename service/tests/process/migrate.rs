//! `orderly migrate`, and the other commands on a schema of another version.

use diesel_async::SimpleAsyncConnection as _;
use xtask::process::Signal;

use crate::support::database::TestDatabase;
use crate::support::migrations::{COMPATIBLE, INCOMPATIBLE, upgrade};
use crate::support::process::OrderlyCommand;
use crate::support::service_process::ServiceProcess;
use crate::support::sql::query_texts;

/// Every command that works on a database.
const COMMANDS: [&[&str]; 3] = [&["seed"], &["check-invariants"], &["jobs", "list"]];

/// Reverts the newest migration.
pub(super) async fn revert_newest(database: &TestDatabase) {
    let down = include_str!("../../../migrations/2026-11-29-000011_failure_reason_valid/down.sql");
    let forget = "DELETE FROM __diesel_schema_migrations WHERE version = '20261129000011'";
    let revert = format!("BEGIN; {down}; {forget}; COMMIT");
    database
        .connect()
        .await
        .batch_execute(&revert)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_schema_serves_version_before() {
    let database = TestDatabase::new().await;
    upgrade(&database, COMPATIBLE).await;
    let orderly = OrderlyCommand::with_database(&database);
    let migrated = orderly.succeed(&["migrate"]).await;
    assert_eq!(
        migrated,
        "the schema is up to date; a newer version of orderly applied 29991231000001, whose schema serves this \
         version as well"
    );
    for command in COMMANDS {
        orderly.succeed(command).await;
    }

    let service = ServiceProcess::start(&orderly).await;
    service.log_in_as_customer().await;
    let health = format!("http://127.0.0.1:{}/healthz", service.admin_port);
    let health = service.client.get(health).send().await.unwrap();
    let health: serde_json::Value = health.json().await.unwrap();
    let check = &health["checks"]["migrations"];
    assert_eq!(check["status"], "healthy", "{check}");
    assert_eq!(check["details"]["schema"], "ahead");
    assert_eq!(check["details"]["versions"][0], "29991231000001");

    // A release that no longer serves this version: the replica goes on, and the check says so.
    upgrade(&database, INCOMPATIBLE).await;
    let health = format!("http://127.0.0.1:{}/healthz", service.admin_port);
    let incompatible = crate::support::eventually::eventually("the check degrades", async || {
        let response = service.client.get(&health).send().await.unwrap();
        let health: serde_json::Value = response.json().await.unwrap();
        let check = health["checks"]["migrations"].clone();
        (check["status"] == "degraded").then_some(check)
    })
    .await;
    let details = &incompatible["details"];
    assert_eq!(details["schema"], "incompatible", "{details}");
    assert_eq!(details["oldest_compatible"], "29991231000002", "{details}");
    service.stop(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_that_no_longer_serves_version_is_rejected() {
    let database = TestDatabase::new().await;
    upgrade(&database, INCOMPATIBLE).await;
    let orderly = OrderlyCommand::with_database(&database);
    let before = versions(&database).await;
    let served = orderly.run(&["serve"]).await;
    assert_eq!(served.code, Some(1), "{}", served.stderr);
    let mut messages = vec![served.stderr, orderly.fail(1, &["migrate"]).await];
    for command in COMMANDS {
        messages.push(orderly.fail(1, command).await);
    }
    for message in messages {
        for part in [
            "the migrations 29991231000002, which serve schema version 29991231000002 and later",
            "this binary has schema version 20261129000022: run a newer version",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert_eq!(versions(&database).await, before);
}

async fn versions(database: &TestDatabase) -> Vec<String> {
    let versions = "SELECT version AS value FROM __diesel_schema_migrations ORDER BY 1";
    query_texts(&mut database.connect().await, versions).await
}

#[tokio::test(flavor = "multi_thread")]
async fn table_of_earlier_release_gets_declarations() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    let earlier = "ALTER TABLE __diesel_schema_migrations DROP COLUMN oldest_compatible";
    conn.batch_execute(earlier).await.unwrap();
    let orderly = OrderlyCommand::with_database(&database);
    let service = ServiceProcess::start(&orderly).await;
    service.stop(Signal::TERM).await;

    assert_eq!(
        orderly.succeed(&["migrate"]).await,
        "the schema is up to date"
    );
    let undeclared = "__diesel_schema_migrations WHERE oldest_compatible IS NULL";
    assert_eq!(database.count_rows(undeclared).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_retries_until_lock_is_granted() {
    let database = TestDatabase::new().await;
    revert_newest(&database).await;
    let mut blocker = database.connect().await;
    let lock = "SET application_name = 'forgotten psql'; \
                BEGIN; LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE";
    blocker.batch_execute(lock).await.unwrap();
    let orderly = OrderlyCommand::with_database(&database);

    let message = orderly.fail(1, &["migrate", "--retry-for", "0"]).await;
    for part in [
        "2026-11-29-000011_failure_reason_valid got no lock in 1 attempts",
        "forgotten psql, idle in transaction",
        "run `orderly migrate` again",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }

    let migrate = orderly.start(&["migrate"]);
    migrate
        .wait_for_message("attempt 1 got no lock within 1s")
        .await;
    blocker.batch_execute("COMMIT").await.unwrap();
    let ended = migrate.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "applied 20261129000011");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_migration_is_named_with_its_reason() {
    let database = TestDatabase::new().await;
    revert_newest(&database).await;
    let drop = "ALTER TABLE orders DROP CONSTRAINT orders_failure_reason_known";
    database.connect().await.batch_execute(drop).await.unwrap();
    let orderly = OrderlyCommand::with_database(&database);
    let message = orderly.fail(1, &["migrate"]).await;
    assert!(
        message.contains(
            "the migration 2026-11-29-000011_failure_reason_valid failed: 42704: constraint"
        ),
        "{message}"
    );
    assert!(message.contains("does not exist"), "{message}");
}
