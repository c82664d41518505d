//! The commands that end by themselves.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::Value;
use xtask::process::Signal;

use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::process::OrderlyCommand;
use crate::support::service_process::ServiceProcess;

#[tokio::test(flavor = "multi_thread")]
async fn migrate_is_idempotent() {
    let database = TestDatabase::empty().await;
    let orderly = OrderlyCommand::with_database(&database);
    assert!(orderly.succeed(&["migrate"]).await.starts_with("applied "));
    let again = orderly.succeed(&["migrate"]).await;
    assert_eq!(again, "the schema is up to date");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_migrations_apply_once() {
    let database = TestDatabase::empty().await;
    let orderly = OrderlyCommand::with_database(&database);
    let (one, other) = tokio::join!(orderly.succeed(&["migrate"]), orderly.succeed(&["migrate"]));
    let applied = [&one, &other].map(|printed| printed.starts_with("applied "));
    assert_eq!(
        applied.iter().filter(|applied| **applied).count(),
        1,
        "{one}{other}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_adds_products_and_users_once() {
    let database = TestDatabase::new().await;
    let orderly = OrderlyCommand::with_database(&database);
    let first = orderly.succeed(&["seed"]).await;
    assert_eq!(
        first,
        "users: 2 added, 0 there already\nproducts: 1000 added, 0 there already"
    );
    let second = orderly.succeed(&["seed"]).await;
    assert_eq!(
        second,
        "users: 0 added, 2 there already\nproducts: 0 added, 1000 there already"
    );
    assert_eq!(database.count_rows("products").await, 1000);
    assert_eq!(database.count_rows("users").await, 2);

    // One of its own is gone, and one of somebody else's is there.
    let mut conn = database.connect().await;
    let swap = "DELETE FROM products WHERE sku = 'DEMO-0007';
        UPDATE products SET sku = 'OTHER-1' WHERE sku = 'DEMO-0001'";
    conn.batch_execute(swap).await.unwrap();
    let third = orderly.succeed(&["seed"]).await;
    assert_eq!(
        third,
        "users: 0 added, 2 there already\nproducts: 2 added, 998 there already"
    );
    assert_eq!(database.count_rows("products").await, 1001);

    let service = ServiceProcess::start(&orderly).await;
    let customer = service.log_in_as_customer().await;
    let admin = service
        .log_in("admin@example.com", "orderly-demo-admin")
        .await;
    for (token, role) in [(customer, "customer"), (admin, "admin")] {
        let me = service.get("/v1/users/me", &token).await.expect(200);
        assert_eq!(me["role"], role);
    }
    service.stop(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_is_rejected_in_production() {
    let database = TestDatabase::new().await;
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY_ENV", "production")
        .set("ORDERLY__AUTH__SIGNING_KEY", &ed25519_pem());
    let message = orderly.fail(1, &["seed"]).await;
    assert!(message.contains("ORDERLY_ENV is production"), "{message}");
    assert_eq!(database.count_rows("users").await, 0);
}

fn ed25519_pem() -> String {
    use aws_lc_rs::signature::Ed25519KeyPair;
    use base64::Engine as _;
    let key = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(key);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----")
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_reports_readiness() {
    let database = TestDatabase::new().await;
    let orderly = OrderlyCommand::with_database(&database);
    let service = ServiceProcess::start(&orderly).await;
    let port = service.admin_port.to_string();
    let probe = OrderlyCommand::new().set("ORDERLY__ADMIN__PORT", &port);
    assert_eq!(probe.succeed(&["healthcheck"]).await, "ready");

    // The process lives, its database does not.
    drop(database);
    let message = eventually("the probe fails", async || {
        let ended = probe.run(&["healthcheck"]).await;
        (ended.code == Some(1)).then_some(ended.stderr)
    })
    .await;
    assert!(message.contains("503"), "{message}");
    assert!(message.contains("postgres: the database"), "{message}");

    service.stop(Signal::TERM).await;
    let message = probe.fail(1, &["healthcheck"]).await;
    assert!(message.contains("does not answer"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_reports_build() {
    let printed = OrderlyCommand::new().succeed(&["version", "--json"]).await;
    let build: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    for field in ["commit", "build_date", "rustc", "target"] {
        assert!(!build[field].as_str().unwrap().is_empty(), "{printed}");
    }
    let line = OrderlyCommand::new().succeed(&["--version"]).await;
    let commit = build["commit"].as_str().unwrap();
    let expected = format!("orderly {} ({commit})", env!("CARGO_PKG_VERSION"));
    assert_eq!(line, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn openapi_command_prints_served_document() {
    let printed = OrderlyCommand::new().succeed(&["openapi"]).await;
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["openapi"], "3.1.0");

    let database = TestDatabase::new().await;
    let service = ServiceProcess::start(&OrderlyCommand::with_database(&database)).await;
    let document = service.get("/openapi.json", "").await.expect(200);
    assert_eq!(document, printed);
    service.stop(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn help_lists_every_command_and_wrong_usage_exits_with_2() {
    let help = OrderlyCommand::new().succeed(&["--help"]).await;
    for command in [
        "serve",
        "migrate",
        "seed",
        "healthcheck",
        "config",
        "jobs",
        "check-invariants",
        "openapi",
        "version",
    ] {
        let listed = help.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(command) && words.next().is_some()
        });
        assert!(listed, "{command}: {help}");
        OrderlyCommand::new().succeed(&[command, "--help"]).await;
    }
    assert_eq!(
        OrderlyCommand::new().run(&["frobnicate"]).await.code,
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_contains_no_sandbox_gateway() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_orderly")).unwrap();
    let text = String::from_utf8_lossy(&binary);
    assert!(text.contains("/v1/orders"), "the search finds nothing");
    for name in ["/faults", "charge_then_reset_rate", "sandbox_gateway"] {
        assert!(!text.contains(name), "{name}");
    }

    let help = OrderlyCommand::new().succeed(&["--help"]).await;
    assert!(!help.contains("gateway"), "{help}");
    let settings = OrderlyCommand::new().succeed(&["config", "--schema"]).await;
    assert!(!settings.contains("sandbox"), "{settings}");
}
