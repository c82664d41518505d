//! The service itself goes away: told to, killed, or one of several. The promise: who asks
//! again gets the order that was placed, and nobody pays twice; told to stop, it fails no
//! request at all.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::Outcome::{Broken, Status};
use crate::stage::proxy::Proxy;
use crate::stage::{Stage, keep_it_so};
use crate::support::eventually::eventually;
use crate::support::sql::number;

const SOON: Duration = Duration::from_secs(10);
/// Longer than the proxy takes to see that a replica is not ready any more.
const DRAIN: &str = "shutdown.drain_delay=1s";
const CHARGED: &str = r#"orderly_payments_total{outcome="charged"}"#;

/// Runbook: `docs/runbooks/sigterm_under_load.md`
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load() {
    let mut stage = Stage::with_replicas("sigterm_under_load", 2, &[DRAIN]).await;
    let proxy = Proxy::start(&stage.folder, &stage.replicas).await;
    let load = stage.load_at(vec![proxy.address], 40).await;

    let told = Instant::now();
    let ended = stage.service().stop().await;
    assert!(ended.success(), "{ended}");

    let recovered = load.well_after(told).await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    stage.finish(&seen, recovered).await;
}

/// Runbook: `docs/runbooks/rolling_restart.md`
#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart() {
    let mut stage = Stage::with_replicas("rolling_restart", 3, &[DRAIN]).await;
    let proxy = Proxy::start(&stage.folder, &stage.replicas).await;
    let load = stage.load_at(vec![proxy.address], 40).await;

    let began = Instant::now();
    let folder = stage.folder.clone();
    for replica in &mut stage.replicas {
        let ended = replica.stop().await;
        assert!(ended.success(), "{}: {ended}", replica.name);
        replica.start_again(&folder).await;
        proxy.uses(replica).await;
    }

    let recovered = load.well_after(began).await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    stage.finish(&seen, recovered).await;
}

/// Runbook: `docs/runbooks/service_killed.md`
///
/// With -9, three times, in the middle of orders and of charges, some of which the gateway
/// has made and could not say so.
#[tokio::test(flavor = "multi_thread")]
async fn service_killed() {
    let mut stage = Stage::set("service_killed", &[]).await;
    let faults = json!({"latency_ms": 300, "charge_then_reset_rate": 0.2});
    stage.gateway.faults(faults).await;
    let load = stage.load(20).await;

    let folder = stage.folder.clone();
    let mut recovered = Duration::ZERO;
    for _ in 0..3 {
        charges_are_under_way(&stage).await;
        stage.service().kill();
        let back = stage.service().start_again(&folder).await;
        recovered = recovered.max(load.well_within(SOON, back).await);
    }

    stage.gateway.faults(json!({})).await;
    let seen = load.stop().await;
    // 409: Postgres has not noticed yet that the first try is dead.
    seen.only(&[Status(200), Status(201), Status(409), Broken]);
    assert!(seen.to_string().contains("broken"), "no request was hit");
    stage.finish(&seen, recovered).await;
}

/// Runbook: `docs/runbooks/two_replicas.md`
///
/// Both take jobs from one queue; then one dies with leases in its hands, and the other
/// takes them up when they end.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas() {
    let mut stage = Stage::with_replicas("two_replicas", 2, &[]).await;
    stage.gateway.faults(json!({"latency_ms": 200})).await;
    let load = stage.load(20).await;

    for replica in &stage.replicas {
        replica.metric_becomes(CHARGED, |n| n > 5.0).await;
    }
    charges_are_under_way(&stage).await;
    let killed = Instant::now();
    stage.service().kill();
    keep_it_so(Duration::from_secs(2)).await;

    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201), Status(409), Broken]);
    no_lease_is_left(&stage).await;
    let recovered = killed.elapsed();
    assert!(recovered <= 2 * SOON, "it took {recovered:?}");
    stage.finish(&seen, recovered).await;
}

async fn charges_are_under_way(stage: &Stage) {
    leases(stage, |n| n > 0).await;
}

async fn no_lease_is_left(stage: &Stage) {
    leases(stage, |n| n == 0).await;
}

async fn leases(stage: &Stage, condition: impl Fn(i64) -> bool) {
    let mut conn = stage.database().await;
    eventually("payment jobs are leased, or none is", async || {
        let leased = "SELECT count(*) AS value FROM payment_jobs WHERE lease_token IS NOT NULL";
        condition(number(&mut conn, leased).await).then_some(())
    })
    .await;
}
