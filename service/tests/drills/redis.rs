//! Redis goes away or stands still. It is a convenience (cache, shared rate limits, event
//! stream), so the promise is: no customer notices, and no event is lost.

use std::time::{Duration, Instant};

use crate::load::Outcome::Status;
use crate::stage::services::Service::Redis;
use crate::stage::{Stage, keep_it_so};
use crate::support::eventually::eventually;
use crate::support::sql::number;

const OUTAGE: Duration = Duration::from_secs(8);
/// Much shorter than the outage, and longer than a busy machine takes for an order.
const UNNOTICED: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(15);

/// Runbook: `docs/runbooks/redis_killed.md`
#[tokio::test(flavor = "multi_thread")]
async fn redis_killed() {
    let mut stage = Stage::set("redis_killed", &[]).await;
    let load = stage.load(20).await;

    stage.services.kill(Redis);
    events_pile_up(&stage).await;
    keep_it_so(OUTAGE).await;
    stage.service().probe_becomes("/readyz", 200).await;

    let back = stage.services.start_again(Redis);
    let recovered = events_are_published(&stage, back).await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    seen.nobody_waited_longer_than(UNNOTICED);
    stage.finish(&seen, recovered).await;
}

/// Runbook: `docs/runbooks/redis_frozen.md`
#[tokio::test(flavor = "multi_thread")]
async fn redis_frozen() {
    let mut stage = Stage::set("redis_frozen", &[]).await;
    let load = stage.load(20).await;

    stage.services.freeze(Redis);
    let breaker = r#"orderly_breaker_state{breaker="redis"}"#;
    stage
        .service()
        .metric_becomes(breaker, |state| state == 2.0)
        .await;
    events_pile_up(&stage).await;
    keep_it_so(OUTAGE).await;
    stage.service().probe_becomes("/readyz", 200).await;

    let back = stage.services.thaw(Redis);
    let recovered = events_are_published(&stage, back).await;
    stage
        .service()
        .metric_becomes(breaker, |state| state == 0.0)
        .await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    seen.nobody_waited_longer_than(UNNOTICED);
    stage.finish(&seen, recovered).await;
}

/// Waits until an event has waited for longer than the relay ever lets it.
async fn events_pile_up(stage: &Stage) {
    let mut conn = stage.database().await;
    eventually("events wait in the outbox", async || {
        let old = "SELECT count(*) AS value FROM outbox \
                   WHERE occurred_at < now() - interval '2 seconds'";
        (number(&mut conn, old).await > 0).then_some(())
    })
    .await;
}

/// Waits until what has piled up is published, and says how long that took.
async fn events_are_published(stage: &Stage, since: Instant) -> Duration {
    let mut conn = stage.database().await;
    let newest = "SELECT coalesce(max(id), 0) AS value FROM outbox";
    let newest = number(&mut conn, newest).await;
    let left = format!("SELECT count(*) AS value FROM outbox WHERE id <= {newest}");
    eventually("the events are published", async || {
        (number(&mut conn, &left).await == 0).then_some(())
    })
    .await;
    let took = since.elapsed();
    assert!(took <= SOON, "it took {took:?} until they were published");
    took
}
