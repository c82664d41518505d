//! Postgres goes away, stands still, or is in somebody's way. Nothing works without it,
//! so the promise is: say so at once, stay alive, be back as soon as it is.

use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;

use crate::load::Attempt;
use crate::load::Outcome::Status;
use crate::stage::services::Service::Postgres;
use crate::stage::{Stage, keep_it_so};

/// Longer than any request waits.
const OUTAGE: Duration = Duration::from_secs(6);
const SOON: Duration = Duration::from_secs(20);
/// Half of what a deadline would allow; a busy machine takes its time, too.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Waits that end before the outage does, in the proportions of the defaults.
const IMPATIENT: &[&str] = &[
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
const PATIENT: &[&str] = &[
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
    let settings = [IMPATIENT, PATIENT].concat();
    let mut stage = Stage::set("postgres_killed", &settings).await;
    let load = stage.load(20).await;
    load.everything_was_looked_at().await;

    stage.services.kill(Postgres);
    stage.service().probe_becomes("/readyz", 503).await;
    keep_it_so(OUTAGE).await;
    assert_eq!(stage.service().probe("/livez").await, Some(200));

    let back = stage.services.start_again(Postgres);
    stage.service().probe_becomes("/readyz", 200).await;
    let recovered = load.well_within(SOON, back).await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201), Status(503)]);
    seen.looking_was_always_possible();
    seen.nobody_was_refused_later_than(AT_ONCE);
    stage.finish(&seen, recovered).await;
}

/// Runbook: `docs/runbooks/postgres_frozen.md`
#[tokio::test(flavor = "multi_thread")]
async fn postgres_frozen() {
    let settings = [IMPATIENT, PATIENT, &["http.request_timeout=2s"]].concat();
    let mut stage = Stage::set("postgres_frozen", &settings).await;
    let load = stage.load(20).await;

    stage.services.freeze(Postgres);
    stage.service().probe_becomes("/readyz", 503).await;
    keep_it_so(OUTAGE).await;
    assert_eq!(stage.service().probe("/livez").await, Some(200));

    let back = stage.services.thaw(Postgres);
    stage.service().probe_becomes("/readyz", 200).await;
    let recovered = load.well_within(SOON, back).await;
    let seen = load.stop().await;
    // 409: the first try of this order was frozen, too, and has not ended yet.
    seen.only(&[
        Status(200),
        Status(201),
        Status(409),
        Status(503),
        Status(504),
    ]);
    seen.nobody_waited_longer_than(Duration::from_secs(5));
    stage.finish(&seen, recovered).await;
}

/// Runbook: `docs/runbooks/pool_exhausted.md`
///
/// Somebody locks the table that every order needs. All connections of the requests end
/// up waiting for it; those of the jobs and the probes do not.
#[tokio::test(flavor = "multi_thread")]
async fn pool_exhausted() {
    let mut stage = Stage::set(
        "pool_exhausted",
        &[IMPATIENT, &["database.pool_size=4"]].concat(),
    )
    .await;
    let load = stage.load(20).await;
    // Of what was seen before, an old copy can be shown; the rest would be 504.
    load.everything_was_looked_at().await;

    let mut somebody = stage.database().await;
    let lock = "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE";
    somebody.batch_execute(lock).await.unwrap();
    let waiting = r#"orderly_pool_connections{pool="requests",state="waiting"}"#;
    stage.service().metric_becomes(waiting, |n| n > 0.0).await;
    keep_it_so(OUTAGE).await;
    assert_eq!(stage.service().probe("/readyz").await, Some(200));
    let starved = r#"orderly_pool_connections{pool="background",state="waiting"}"#;
    assert_eq!(stage.service().metric(starved).await, 0.0);

    somebody.batch_execute("COMMIT").await.unwrap();
    let recovered = load.well_within(SOON, Instant::now()).await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201), Status(409), Status(503)]);
    seen.nobody_waited_longer_than(Duration::from_secs(5));
    stage.finish(&seen, recovered).await;
}

/// Runbook: `docs/runbooks/lock_held.md`
///
/// A forgotten transaction holds one product: orders of that one are refused in time,
/// and all the others are none the worse.
#[tokio::test(flavor = "multi_thread")]
async fn lock_held() {
    let mut stage = Stage::set("lock_held", IMPATIENT).await;
    let load = stage.load(20).await;

    let mut forgotten = stage.database().await;
    let hold = "BEGIN; SELECT * FROM products ORDER BY sku <> 'DRILL-1' LIMIT 1 FOR UPDATE";
    forgotten.batch_execute(hold).await.unwrap();
    keep_it_so(OUTAGE).await;
    assert_eq!(stage.service().probe("/readyz").await, Some(200));

    forgotten.batch_execute("COMMIT").await.unwrap();
    let recovered = load.well_within(SOON, Instant::now()).await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201), Status(409), Status(503)]);
    let is_refused = |product| {
        let others = move |attempt: &&Attempt| attempt.product == product;
        (seen.attempts.iter().filter(others)).any(|attempt| !attempt.outcome.is_good())
    };
    assert!(is_refused(0), "the lock was never felt");
    assert!(!(1..10).any(is_refused), "other products were refused, too");
    stage.finish(&seen, recovered).await;
}
