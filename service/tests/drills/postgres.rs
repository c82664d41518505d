//! Postgres goes away, stands still, or is in somebody's way. Nothing works without it,
//! so the promise is: say so at once, stay alive, be back as soon as it is.

use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;

use crate::environment::dependencies::Dependency::Postgres;
use crate::environment::{DrillEnvironment, hold_for};
use crate::load::Attempt;
use crate::load::AttemptOutcome::Status;

/// Longer than any request waits.
const OUTAGE: Duration = Duration::from_secs(6);
const MAX_RECOVERY: Duration = Duration::from_secs(20);
/// Half of what a deadline would allow; a busy machine takes its time, too.
const MAX_REJECTION_LATENCY: Duration = Duration::from_secs(2);

/// Waits that end before the outage does, in the proportions of the defaults.
const SHORT_TIMEOUTS: &[&str] = &[
    "http.request_timeout=4s",
    "database.acquire_timeout=1s",
    "database.connect_timeout=1s",
    "database.lock_timeout=1500ms",
    "database.statement_timeout=3s",
    // What cannot be served must be shed, or those who ask again keep it from coming back.
    "load_shedding.min_limit=16",
];

/// The waits of the pool and the cache never end by themselves: only the deadline, or the
/// loss of the connection, can.
const LONG_POOL_TIMEOUTS: &[&str] = &[
    "database.acquire_timeout=20s",
    "database.connect_timeout=20s",
    "cache.load_timeout=20s",
];

/// Runbook: `docs/runbooks/postgres_killed.md`
///
/// No order can be placed, and everybody is told so at once; the products can be looked at
/// as always.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed() {
    // No wait may hide that it is the loss itself that is noticed.
    let settings = [SHORT_TIMEOUTS, LONG_POOL_TIMEOUTS].concat();
    let mut env = DrillEnvironment::start("postgres_killed", &settings).await;
    let load = env.start_load(20).await;
    load.wait_until_all_viewed().await;

    env.dependencies.kill(Postgres);
    env.service().wait_for_probe("/readyz", 503).await;
    hold_for(OUTAGE).await;
    assert_eq!(env.service().probe("/livez").await, Some(200));

    let restored_at = env.dependencies.restart(Postgres);
    env.service().wait_for_probe("/readyz", 200).await;
    let recovered = load.assert_recovery_within(MAX_RECOVERY, restored_at).await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201), Status(503)]);
    results.assert_reads_succeeded();
    results.assert_rejection_latency_below(MAX_REJECTION_LATENCY);
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/postgres_frozen.md`
#[tokio::test(flavor = "multi_thread")]
async fn postgres_frozen() {
    let settings = [
        SHORT_TIMEOUTS,
        LONG_POOL_TIMEOUTS,
        &["http.request_timeout=2s"],
    ]
    .concat();
    let mut env = DrillEnvironment::start("postgres_frozen", &settings).await;
    let load = env.start_load(20).await;

    env.dependencies.freeze(Postgres);
    env.service().wait_for_probe("/readyz", 503).await;
    hold_for(OUTAGE).await;
    assert_eq!(env.service().probe("/livez").await, Some(200));

    let restored_at = env.dependencies.thaw(Postgres);
    env.service().wait_for_probe("/readyz", 200).await;
    let recovered = load.assert_recovery_within(MAX_RECOVERY, restored_at).await;
    let results = load.stop().await;
    // 409: the first try of this order was frozen, too, and has not ended yet.
    results.assert_outcomes(&[
        Status(200),
        Status(201),
        Status(409),
        Status(503),
        Status(504),
    ]);
    results.assert_latency_below(Duration::from_secs(5));
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/pool_exhausted.md`
///
/// Somebody locks the table that every order needs. All connections of the requests end
/// up waiting for it; those of the jobs and the probes do not.
#[tokio::test(flavor = "multi_thread")]
async fn pool_exhausted() {
    let mut env = DrillEnvironment::start(
        "pool_exhausted",
        &[SHORT_TIMEOUTS, &["database.pool_size=4"]].concat(),
    )
    .await;
    let load = env.start_load(20).await;
    // Of what was seen before, an old copy can be shown; the rest would be 504.
    load.wait_until_all_viewed().await;

    let mut blocker = env.database().await;
    let lock = "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE";
    blocker.batch_execute(lock).await.unwrap();
    let waiting = r#"orderly_pool_connections{pool="requests",state="waiting"}"#;
    env.service().wait_for_metric(waiting, |n| n > 0.0).await;
    hold_for(OUTAGE).await;
    assert_eq!(env.service().probe("/readyz").await, Some(200));
    let starved = r#"orderly_pool_connections{pool="background",state="waiting"}"#;
    assert_eq!(env.service().metric(starved).await, 0.0);

    blocker.batch_execute("COMMIT").await.unwrap();
    let recovered = load
        .assert_recovery_within(MAX_RECOVERY, Instant::now())
        .await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201), Status(409), Status(503)]);
    results.assert_latency_below(Duration::from_secs(5));
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/postgres_read_only.md`
///
/// As an operator sets it during maintenance, and as a demoted primary looks. Reads succeed, orders
/// are rejected, and the service stays ready and reports itself as degraded.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_read_only() {
    let mut env = DrillEnvironment::start("postgres_read_only", SHORT_TIMEOUTS).await;
    let load = env.start_load(20).await;
    load.wait_until_all_viewed().await;

    let mut admin = env.database().await;
    let reload = "SELECT pg_reload_conf()";
    let set = "ALTER SYSTEM SET default_transaction_read_only = on";
    admin.batch_execute(set).await.unwrap();
    admin.batch_execute(reload).await.unwrap();
    let status = r#"orderly_health_check_status{check="postgres"}"#;
    env.service().wait_for_metric(status, |n| n == 1.0).await;
    hold_for(OUTAGE).await;
    assert_eq!(env.service().probe("/readyz").await, Some(200));

    let reset = "ALTER SYSTEM RESET default_transaction_read_only";
    admin.batch_execute(reset).await.unwrap();
    admin.batch_execute(reload).await.unwrap();
    let recovered = load
        .assert_recovery_within(MAX_RECOVERY, Instant::now())
        .await;
    env.service().wait_for_metric(status, |n| n == 0.0).await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201), Status(503)]);
    results.assert_reads_succeeded();
    results.assert_rejection_latency_below(MAX_REJECTION_LATENCY);
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/schema_changed.md`
///
/// Another program changes the types of columns that every order and log-in reads. The prepared
/// statements of all sessions are invalid from then on.
#[tokio::test(flavor = "multi_thread")]
async fn schema_changed() {
    let mut env = DrillEnvironment::start("schema_changed", &[]).await;
    let load = env.start_load(20).await;
    load.wait_until_all_viewed().await;

    let mut admin = env.database().await;
    let changed_at = Instant::now();
    for (table, column) in [
        ("users", "name"),
        ("products", "name"),
        ("orders", "status"),
    ] {
        let alter = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar(300)");
        admin.batch_execute(&alter).await.unwrap();
    }
    let recovered = load
        .assert_recovery_within(Duration::from_secs(5), changed_at)
        .await;
    assert_eq!(env.service().probe("/readyz").await, Some(200));
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201), Status(503)]);
    let failed = results.count_since(changed_at, Status(503));
    assert!(failed <= 5, "{failed} requests failed");
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/lock_held.md`
///
/// A forgotten transaction holds one product: orders of that one are refused in time,
/// and all the others are none the worse.
#[tokio::test(flavor = "multi_thread")]
async fn lock_held() {
    let mut env = DrillEnvironment::start("lock_held", SHORT_TIMEOUTS).await;
    let load = env.start_load(20).await;

    let mut blocker = env.database().await;
    let hold = "BEGIN; SELECT * FROM products ORDER BY sku <> 'DRILL-1' LIMIT 1 FOR UPDATE";
    blocker.batch_execute(hold).await.unwrap();
    hold_for(OUTAGE).await;
    assert_eq!(env.service().probe("/readyz").await, Some(200));

    blocker.batch_execute("COMMIT").await.unwrap();
    let recovered = load
        .assert_recovery_within(MAX_RECOVERY, Instant::now())
        .await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201), Status(409), Status(503)]);
    let was_rejected = |product| {
        let of_product = move |attempt: &&Attempt| attempt.product == product;
        (results.attempts.iter().filter(of_product)).any(|attempt| !attempt.outcome.is_good())
    };
    assert!(was_rejected(0), "the lock was never felt");
    assert!(
        !(1..10).any(was_rejected),
        "other products were refused, too"
    );
    env.finish(&results, recovered).await;
}
