//! The payment gateway has a bad day. Orders do not need it, only their payments do, so the
//! promise is: every order is taken, waits as `pending`, and is paid exactly once when the
//! gateway is well again; none is given up meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::Outcome::Status;
use crate::stage::replica::Replica;
use crate::stage::{Stage, keep_it_so};
use crate::support::eventually::eventually;
use crate::support::sql::number;

const OUTAGE: Duration = Duration::from_secs(4);
const SOON: Duration = Duration::from_secs(20);

/// Runbook: `docs/runbooks/gateway_down.md`
#[tokio::test(flavor = "multi_thread")]
async fn gateway_down() {
    let down = async |stage: &mut Stage| {
        stage.gateway.kill();
        breaker_opens(stage.service()).await;
        keep_it_so(OUTAGE).await;
        stage.gateway.start_again().await
    };
    drill("gateway_down", down).await;
}

/// Runbook: `docs/runbooks/gateway_slow.md`
///
/// Slower than `breaker.slow_call_duration_threshold`, and still within `payments.read_timeout`.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_slow() {
    let slow = async |stage: &mut Stage| {
        stage.gateway.faults(json!({"latency_ms": 1200})).await;
        breaker_opens(stage.service()).await;
        keep_it_so(OUTAGE).await;
        stage.gateway.faults(json!({})).await
    };
    drill("gateway_slow", slow).await;
}

/// Runbook: `docs/runbooks/gateway_flapping.md`
#[tokio::test(flavor = "multi_thread")]
async fn gateway_flapping() {
    let flapping = async |stage: &mut Stage| {
        for _ in 0..3 {
            stage.gateway.faults(json!({"error_rate": 1.0})).await;
            breaker_opens(stage.service()).await;
            stage.gateway.faults(json!({})).await;
            let charged = r#"orderly_payment_attempts_total{outcome="charged"}"#;
            let before = stage.service().metric(charged).await;
            stage
                .service()
                .metric_becomes(charged, |now| now > before)
                .await;
        }
        Instant::now()
    };
    drill("gateway_flapping", flapping).await;
}

/// Runbook: `docs/runbooks/gateway_hanging.md`
///
/// It takes every call and answers none.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_hanging() {
    let hanging = async |stage: &mut Stage| {
        stage.gateway.faults(json!({"hang_rate": 1.0})).await;
        breaker_opens(stage.service()).await;
        keep_it_so(OUTAGE).await;
        stage.gateway.faults(json!({})).await
    };
    drill("gateway_hanging", hanging).await;
}

/// Runbook: `docs/runbooks/gateway_resetting.md`
///
/// The nasty one: half of the charges are made, and their answers are lost.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_resetting() {
    let resetting = async |stage: &mut Stage| {
        let faults = json!({"charge_then_reset_rate": 0.5, "reset_rate": 0.5});
        stage.gateway.faults(faults).await;
        breaker_opens(stage.service()).await;
        keep_it_so(OUTAGE).await;
        stage.gateway.faults(json!({})).await
    };
    drill("gateway_resetting", resetting).await;
}

/// `bad_day` returns when the gateway is well again.
async fn drill(name: &'static str, bad_day: impl AsyncFnOnce(&mut Stage) -> Instant) {
    let mut stage = Stage::set(name, &[]).await;
    let load = stage.load(20).await;
    let back = bad_day(&mut stage).await;
    assert_eq!(stage.service().probe("/readyz").await, Some(200));
    let recovered = what_waited_is_paid(&stage, back).await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    assert_eq!(dead_jobs(&stage).await, 0, "payments were given up");
    stage.finish(&seen, recovered).await;
}

async fn breaker_opens(service: &Replica) {
    let breaker = r#"orderly_breaker_state{breaker="gateway"}"#;
    service.metric_becomes(breaker, |state| state == 2.0).await;
}

async fn what_waited_is_paid(stage: &Stage, since: Instant) -> Duration {
    let mut conn = stage.database().await;
    let now = "SELECT (extract(epoch FROM now()) * 1000)::int8 AS value";
    let now_ms = number(&mut conn, now).await;
    let left = format!(
        "SELECT count(*) AS value FROM payment_jobs \
         WHERE created_at <= to_timestamp({now_ms} / 1000.0)"
    );
    eventually("what waited is paid", async || {
        (number(&mut conn, &left).await == 0).then_some(())
    })
    .await;
    let took = since.elapsed();
    assert!(took <= SOON, "it took {took:?} until all was paid");
    took
}

async fn dead_jobs(stage: &Stage) -> i64 {
    let dead = "SELECT count(*) AS value FROM payment_jobs WHERE dead_at IS NOT NULL";
    number(&mut stage.database().await, dead).await
}
