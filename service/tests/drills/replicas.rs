//! The service itself goes away: told to, killed, or one of several. The promise: who asks
//! again gets the order that was placed, and nobody pays twice; told to stop, it fails no
//! request at all.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::environment::DrillEnvironment;
use crate::environment::load_balancer::LoadBalancer;
use crate::environment::pause_points::{self, Pause, PausePoint};
use crate::load::AttemptOutcome::{ConnectionFailed, Status};
use crate::load::LoadGenerator;
use crate::support::eventually::eventually;
use crate::support::sql::{query_number, query_texts};

/// It takes a second or two; a busy machine needs more to start a process.
const MAX_RECOVERY: Duration = Duration::from_secs(20);
/// Longer than the proxy takes to see that a replica is not ready any more.
const DRAIN: &str = "shutdown.drain_delay=1s";
/// Less than `shutdown.drain_timeout` alone: no idle connection has held it to the end of that.
const MAX_STOP_DURATION: Duration = Duration::from_secs(18);
/// Nobody was forgotten by a replica that went.
const NORMAL_LATENCY: Duration = Duration::from_secs(8);
const CHARGED: &str = r#"orderly_job_attempts_total{kind="payment",outcome="charged"}"#;

/// Runbook: `docs/runbooks/sigterm_under_load.md`
///
/// What is measured is how long it takes to end, once told.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load() {
    let mut env = DrillEnvironment::start_with_replicas("sigterm_under_load", 2, &[DRAIN]).await;
    let proxy = LoadBalancer::start(&env.folder, &env.replicas).await;
    let load = env.start_load_at(vec![proxy.address], 20).await;

    let stop_duration = env.service().stop().await;
    assert!(
        stop_duration <= MAX_STOP_DURATION,
        "it took {stop_duration:?} to stop"
    );

    load.wait_until_healthy().await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, stop_duration).await;
}

/// Runbook: `docs/runbooks/rolling_restart.md`
///
/// What is measured is how long one replica is away, at most.
#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart() {
    let mut env = DrillEnvironment::start_with_replicas("rolling_restart", 3, &[DRAIN]).await;
    let proxy = LoadBalancer::start(&env.folder, &env.replicas).await;
    let load = env.start_load_at(vec![proxy.address], 20).await;

    let folder = env.folder.clone();
    let mut max_restart = Duration::ZERO;
    for replica in &mut env.replicas {
        let stop_duration = replica.stop().await;
        assert!(
            stop_duration <= MAX_STOP_DURATION,
            "{stop_duration:?} to stop"
        );
        let started = Instant::now();
        replica.restart(&folder).await;
        proxy.wait_for_replica(replica).await;
        let start_duration = started.elapsed();
        assert!(
            start_duration <= MAX_RECOVERY,
            "{start_duration:?} until it was used again"
        );
        max_restart = max_restart.max(stop_duration + start_duration);
    }

    load.wait_until_healthy().await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, max_restart).await;
}

/// Runbook: `docs/runbooks/service_killed.md`
///
/// With -9, three times: in the middle of an order, which is then none; in the middle of
/// its commit, so that it is placed and nobody was told; and when the gateway has the money
/// and nobody has written that down. Other charges are under way meanwhile, some of which
/// the gateway has made and could not say so.
#[tokio::test(flavor = "multi_thread")]
async fn service_killed() {
    let mut env = DrillEnvironment::start("service_killed", &[]).await;
    pause_points::install(env.database().await).await;
    let faults = json!({"latency_ms": 300, "charge_then_reset_rate": 0.2});
    env.gateway.set_faults(faults).await;
    let load = env.start_load(20).await;

    let folder = env.folder.clone();
    let mut recovered = Duration::ZERO;
    let mut kills = Vec::new();
    for point in [
        PausePoint::Ordering,
        PausePoint::Committing,
        PausePoint::Settling,
    ] {
        let mut pause = Pause::at(point, env.database().await).await;
        pause.wait_for_transaction().await;
        let killed = Instant::now();
        env.service().kill();
        drop(pause);
        if point == PausePoint::Committing {
            wait_for_unacknowledged_order(&env, &load).await;
        }
        kills.push(killed);
        env.service().restart(&folder).await;
        recovered = recovered.max(load.assert_recovery_within(MAX_RECOVERY, killed).await);
    }

    env.gateway.set_faults(json!({})).await;
    let results = load.stop().await;
    // 409: Postgres has not noticed yet that the first try is dead.
    results.assert_outcomes(&[Status(200), Status(201), Status(409), ConnectionFailed]);
    let during_order = &kills[..2];
    let interrupted = |killed: &Instant| results.interrupted_at(*killed) > 0;
    assert!(
        during_order.iter().all(interrupted),
        "no request was interrupted"
    );
    env.finish(&results, recovered).await;
}

/// The service must not run: what it has answered, everybody knows.
async fn wait_for_unacknowledged_order(env: &DrillEnvironment, load: &LoadGenerator) {
    let mut conn = env.database().await;
    eventually("an order is placed and not acknowledged", async || {
        let placed = query_number(&mut conn, "SELECT count(*) AS value FROM orders").await;
        let acknowledged = load.inspect(|results| results.orders.values().flatten().count());
        (placed > acknowledged as i64).then_some(())
    })
    .await;
}

/// Runbook: `docs/runbooks/two_replicas.md`
///
/// Both take jobs from one queue; then one dies with leases in its hands, and the other
/// takes them up when they end.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas() {
    // A charge that hangs is leased for long enough to be seen.
    let settings = [
        "payments.read_timeout=3s",
        "payments.timeout=3s",
        "payment_jobs.lease_duration=7s",
    ];
    let mut env = DrillEnvironment::start_with_replicas("two_replicas", 2, &settings).await;
    env.gateway.set_faults(json!({"latency_ms": 200})).await;
    let load = env.start_load(20).await;
    for replica in &env.replicas {
        replica.wait_for_metric(CHARGED, |n| n > 5.0).await;
    }

    // While the second one stands still, all new jobs that are leased are the first one's.
    env.gateway.set_faults(json!({"hang_rate": 1.0})).await;
    env.replicas[1].freeze();
    let mut conn = env.database().await;
    let now = "SELECT (extract(epoch FROM now()) * 1000)::int8 AS value";
    let now_ms = query_number(&mut conn, now).await;
    let leased = format!(
        "SELECT key AS value FROM jobs WHERE lease_token IS NOT NULL \
         AND due_at > to_timestamp({now_ms} / 1000.0)"
    );
    eventually("the first one leases new jobs", async || {
        let is_leased = !query_texts(&mut conn, &leased).await.is_empty();
        is_leased.then_some(())
    })
    .await;
    let killed = Instant::now();
    env.service().kill();
    let orphans = query_texts(&mut conn, &leased).await;
    assert!(!orphans.is_empty(), "it died with empty hands");

    env.gateway.set_faults(json!({"latency_ms": 200})).await;
    env.replicas[1].thaw();
    let left = format!(
        "SELECT count(*) AS value FROM jobs WHERE kind = 'payment' AND key IN ('{}')",
        orphans.join("', '")
    );
    eventually("the second one takes them up", async || {
        (query_number(&mut conn, &left).await == 0).then_some(())
    })
    .await;
    let recovered = killed.elapsed();
    assert!(recovered <= MAX_RECOVERY, "it took {recovered:?}");

    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201), Status(409), ConnectionFailed]);
    env.finish(&results, recovered).await;
}
