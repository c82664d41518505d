//! The service itself goes away: told to, killed, or one of several. The promise: who asks
//! again gets the order that was placed, and nobody pays twice; told to stop, it fails no
//! request at all.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::Load;
use crate::load::Outcome::{Broken, Status};
use crate::stage::Stage;
use crate::stage::moments::{self, HeldUp, Moment};
use crate::stage::proxy::Proxy;
use crate::support::eventually::eventually;
use crate::support::sql::{number, texts};

/// It takes a second or two; a busy machine needs more to start a process.
const SOON: Duration = Duration::from_secs(20);
/// Longer than the proxy takes to see that a replica is not ready any more.
const DRAIN: &str = "shutdown.drain_delay=1s";
/// Less than `shutdown.drain_timeout` alone: no idle connection has held it to the end of that.
const STOPS_WITHIN: Duration = Duration::from_secs(18);
/// Nobody was forgotten by a replica that went.
const AS_ALWAYS: Duration = Duration::from_secs(8);
const CHARGED: &str = r#"orderly_payment_attempts_total{outcome="charged"}"#;

/// Runbook: `docs/runbooks/sigterm_under_load.md`
///
/// What is measured is how long it takes to end, once told.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load() {
    let mut stage = Stage::with_replicas("sigterm_under_load", 2, &[DRAIN]).await;
    let proxy = Proxy::start(&stage.folder, &stage.replicas).await;
    let load = stage.load_at(vec![proxy.address], 20).await;

    let took = stage.service().stop().await;
    assert!(took <= STOPS_WITHIN, "it took {took:?} to stop");

    load.flows().await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    seen.nobody_waited_longer_than(AS_ALWAYS);
    stage.finish(&seen, took).await;
}

/// Runbook: `docs/runbooks/rolling_restart.md`
///
/// What is measured is how long one replica is away, at most.
#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart() {
    let mut stage = Stage::with_replicas("rolling_restart", 3, &[DRAIN]).await;
    let proxy = Proxy::start(&stage.folder, &stage.replicas).await;
    let load = stage.load_at(vec![proxy.address], 20).await;

    let folder = stage.folder.clone();
    let mut longest = Duration::ZERO;
    for replica in &mut stage.replicas {
        let stopping = replica.stop().await;
        assert!(stopping <= STOPS_WITHIN, "{stopping:?} to stop");
        let started = Instant::now();
        replica.start_again(&folder).await;
        proxy.uses(replica).await;
        let starting = started.elapsed();
        assert!(starting <= SOON, "{starting:?} until it was used again");
        longest = longest.max(stopping + starting);
    }

    load.flows().await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    seen.nobody_waited_longer_than(AS_ALWAYS);
    stage.finish(&seen, longest).await;
}

/// Runbook: `docs/runbooks/service_killed.md`
///
/// With -9, three times: in the middle of an order, which is then none; in the middle of
/// its commit, so that it is placed and nobody was told; and when the gateway has the money
/// and nobody has written that down. Other charges are under way meanwhile, some of which
/// the gateway has made and could not say so.
#[tokio::test(flavor = "multi_thread")]
async fn service_killed() {
    let mut stage = Stage::set("service_killed", &[]).await;
    moments::prepare(stage.database().await).await;
    let faults = json!({"latency_ms": 300, "charge_then_reset_rate": 0.2});
    stage.gateway.faults(faults).await;
    let load = stage.load(20).await;

    let folder = stage.folder.clone();
    let mut recovered = Duration::ZERO;
    let mut kills = Vec::new();
    for moment in [Moment::Ordering, Moment::Committing, Moment::Settling] {
        let mut held_up = HeldUp::at(moment, stage.database().await).await;
        held_up.somebody().await;
        let killed = Instant::now();
        stage.service().kill();
        drop(held_up);
        if moment == Moment::Committing {
            orders_are_placed_that_nobody_was_told_of(&stage, &load).await;
        }
        kills.push(killed);
        stage.service().start_again(&folder).await;
        recovered = recovered.max(load.well_within(SOON, killed).await);
    }

    stage.gateway.faults(json!({})).await;
    let seen = load.stop().await;
    // 409: Postgres has not noticed yet that the first try is dead.
    seen.only(&[Status(200), Status(201), Status(409), Broken]);
    let in_an_order = &kills[..2];
    let cut_off = |killed: &Instant| seen.cut_off_at(*killed) > 0;
    assert!(in_an_order.iter().all(cut_off), "no customer was cut off");
    stage.finish(&seen, recovered).await;
}

/// The service must not run: what it has answered, everybody knows.
async fn orders_are_placed_that_nobody_was_told_of(stage: &Stage, load: &Load) {
    let mut conn = stage.database().await;
    eventually("an order is placed that nobody was told of", async || {
        let placed = number(&mut conn, "SELECT count(*) AS value FROM orders").await;
        let told = load.so_far(|seen| seen.orders.values().flatten().count());
        (placed > told as i64).then_some(())
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
        "payments.lease_duration=7s",
    ];
    let mut stage = Stage::with_replicas("two_replicas", 2, &settings).await;
    stage.gateway.faults(json!({"latency_ms": 200})).await;
    let load = stage.load(20).await;
    for replica in &stage.replicas {
        replica.metric_becomes(CHARGED, |n| n > 5.0).await;
    }

    // While the second one stands still, all new jobs that are leased are the first one's.
    stage.gateway.faults(json!({"hang_rate": 1.0})).await;
    stage.replicas[1].freeze();
    let mut conn = stage.database().await;
    let now = "SELECT (extract(epoch FROM now()) * 1000)::int8 AS value";
    let now_ms = number(&mut conn, now).await;
    let leased = format!(
        "SELECT order_id::text AS value FROM payment_jobs WHERE lease_token IS NOT NULL \
         AND created_at > to_timestamp({now_ms} / 1000.0)"
    );
    eventually("the first one leases new jobs", async || {
        let some = !texts(&mut conn, &leased).await.is_empty();
        some.then_some(())
    })
    .await;
    let killed = Instant::now();
    stage.service().kill();
    let orphans = texts(&mut conn, &leased).await;
    assert!(!orphans.is_empty(), "it died with empty hands");

    stage.gateway.faults(json!({"latency_ms": 200})).await;
    stage.replicas[1].thaw();
    let left = format!(
        "SELECT count(*) AS value FROM payment_jobs WHERE order_id::text IN ('{}')",
        orphans.join("', '")
    );
    eventually("the second one takes them up", async || {
        (number(&mut conn, &left).await == 0).then_some(())
    })
    .await;
    let recovered = killed.elapsed();
    assert!(recovered <= SOON, "it took {recovered:?}");

    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201), Status(409), Broken]);
    stage.finish(&seen, recovered).await;
}
