//! What a start refuses, and what it says then.

use std::net::TcpListener;

use diesel_async::SimpleAsyncConnection as _;

use crate::support::database::TestDatabase;
use crate::support::process::OrderlyCommand;

#[tokio::test(flavor = "multi_thread")]
async fn serve_rejects_database_without_schema() {
    let database = TestDatabase::empty().await;
    let message = OrderlyCommand::with_database(&database)
        .fail_to_serve(1)
        .await;
    assert!(message.contains("lacks the migrations"), "{message}");
    assert!(message.contains("run `orderly migrate`"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_rejects_migration_without_declaration() {
    let database = TestDatabase::new().await;
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000001')";
    database.connect().await.batch_execute(newer).await.unwrap();
    let message = OrderlyCommand::with_database(&database)
        .fail_to_serve(1)
        .await;
    assert!(message.contains("29991231000001"), "{message}");
    assert!(message.contains("not all of which declare"), "{message}");
    assert!(
        message.contains("run a newer version of orderly"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_without_database_names_variable() {
    let message = OrderlyCommand::new().fail_to_serve(78).await;
    assert!(message.contains("ORDERLY__DATABASE__URL"), "{message}");
    assert!(message.contains("postgres://user:password@"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_reports_all_invalid_settings_together() {
    let orderly = OrderlyCommand::new()
        .set("ORDERLY__HTTP__WORKERS", "0")
        .set("ORDERLY__HTTP__PROT", "80")
        .set("ORDERLY__DATABASE__URL", "mysql://root:canary@db");
    let message = orderly.fail_to_serve(78).await;
    for part in [
        "has 3 problems",
        "ORDERLY__HTTP__WORKERS",
        "did you mean ORDERLY__HTTP__PORT?",
        "ORDERLY__DATABASE__URL",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("canary"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_requires_secrets() {
    let message = OrderlyCommand::new()
        .set("ORDERLY_ENV", "production")
        .set("ORDERLY__DATABASE__URL", "postgres://localhost/orderly")
        .fail_to_serve(78)
        .await;
    assert!(message.contains("ORDERLY__AUTH__SIGNING_KEY"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_database_is_reported_in_one_line() {
    let orderly = OrderlyCommand::new().set(
        "ORDERLY__DATABASE__URL",
        "postgres://orderly:canary@127.0.0.1:1/orderly",
    );
    let message = orderly.fail_to_serve(1).await;
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("connect"), "{message}");
    assert!(!message.contains("canary"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn port_in_use_is_reported_in_one_line() {
    let database = TestDatabase::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for variable in ["ORDERLY__HTTP__PORT", "ORDERLY__ADMIN__PORT"] {
        let orderly = OrderlyCommand::with_database(&database).set(variable, &port);
        let message = orderly.fail_to_serve(1).await;
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.contains(variable), "{message}");
        assert!(message.contains(&port), "{message}");
        assert!(message.contains("in use"), "{message}");
    }
}

impl OrderlyCommand {
    /// Runs `serve`, which must end with that code, and returns its message. It may have written
    /// log lines before.
    async fn fail_to_serve(&self, code: i32) -> String {
        let ended = self.run(&["serve"]).await;
        assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
        ended.stderr
    }
}
