//! Redis goes away, stands still or becomes read-only. It is a convenience (cache, shared rate limits, event
//! stream), so the promise is: no client notices, and no event is lost.

use std::time::{Duration, Instant};

use crate::environment::dependencies::Dependency::Redis;
use crate::environment::{DrillEnvironment, hold_for};
use crate::load::AttemptOutcome::Status;
use crate::support::eventually::eventually;
use crate::support::sql::query_number;

const OUTAGE: Duration = Duration::from_secs(8);
/// Much shorter than the outage, and longer than a busy machine takes for an order.
const NORMAL_LATENCY: Duration = Duration::from_secs(3);
const MAX_RECOVERY: Duration = Duration::from_secs(15);

/// Runbook: `docs/runbooks/redis_killed.md`
#[tokio::test(flavor = "multi_thread")]
async fn redis_killed() {
    let mut env = DrillEnvironment::start("redis_killed", &[]).await;
    let load = env.start_load(20).await;

    env.dependencies.kill(Redis);
    wait_for_event_backlog(&env).await;
    hold_for(OUTAGE).await;
    env.service().wait_for_probe("/readyz", 200).await;

    let restored_at = env.dependencies.restart(Redis);
    let recovered = wait_until_backlog_is_published(&env, restored_at).await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/redis_frozen.md`
#[tokio::test(flavor = "multi_thread")]
async fn redis_frozen() {
    let mut env = DrillEnvironment::start("redis_frozen", &[]).await;
    let load = env.start_load(20).await;

    env.dependencies.freeze(Redis);
    let breaker = r#"orderly_breaker_state{breaker="redis"}"#;
    env.service()
        .wait_for_metric(breaker, |state| state == 2.0)
        .await;
    wait_for_event_backlog(&env).await;
    hold_for(OUTAGE).await;
    env.service().wait_for_probe("/readyz", 200).await;

    let restored_at = env.dependencies.thaw(Redis);
    let recovered = wait_until_backlog_is_published(&env, restored_at).await;
    env.service()
        .wait_for_metric(breaker, |state| state == 0.0)
        .await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/redis_read_only.md`
#[tokio::test(flavor = "multi_thread")]
async fn redis_read_only() {
    let mut env = DrillEnvironment::start("redis_read_only", &[]).await;
    let load = env.start_load(20).await;

    // A primary that was demoted behind the same address: its connections stay open.
    env.dependencies
        .execute_on_redis(&["REPLICAOF", "127.0.0.1", "1"])
        .await;
    let health = r#"orderly_health_check_status{check="redis"}"#;
    wait_for_event_backlog(&env).await;
    eventually("Redis is degraded", async || {
        env.service().probe("/healthz").await;
        (env.service().metric(health).await == 1.0).then_some(())
    })
    .await;
    hold_for(OUTAGE).await;
    env.service().wait_for_probe("/readyz", 200).await;

    let restored_at = Instant::now();
    env.dependencies
        .execute_on_redis(&["REPLICAOF", "NO", "ONE"])
        .await;
    let recovered = wait_until_backlog_is_published(&env, restored_at).await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, recovered).await;
}

/// Waits until an event has waited for longer than the relay ever lets it.
async fn wait_for_event_backlog(env: &DrillEnvironment) {
    let mut conn = env.database().await;
    eventually("events wait in the outbox", async || {
        let old = "SELECT count(*) AS value FROM outbox \
                   WHERE occurred_at < now() - interval '2 seconds'";
        (query_number(&mut conn, old).await > 0).then_some(())
    })
    .await;
}

/// Waits until what has piled up is published, and says how long that took.
async fn wait_until_backlog_is_published(env: &DrillEnvironment, since: Instant) -> Duration {
    let mut conn = env.database().await;
    let newest = "SELECT coalesce(max(id), 0) AS value FROM outbox";
    let newest = query_number(&mut conn, newest).await;
    let left = format!("SELECT count(*) AS value FROM outbox WHERE id <= {newest}");
    eventually("the events are published", async || {
        (query_number(&mut conn, &left).await == 0).then_some(())
    })
    .await;
    let duration = since.elapsed();
    assert!(
        duration <= MAX_RECOVERY,
        "it took {duration:?} until they were published"
    );
    duration
}
