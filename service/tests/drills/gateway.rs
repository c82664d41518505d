//! The payment gateway has a bad day. Orders do not need it, only their payments do, so the
//! promise is: every order is taken, waits as `pending`, and is paid exactly once when the
//! gateway is well again; none is given up meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::environment::replica::Replica;
use crate::environment::{DrillEnvironment, hold_for};
use crate::load::AttemptOutcome::Status;
use crate::support::eventually::eventually;
use crate::support::sql::query_number;

const OUTAGE: Duration = Duration::from_secs(4);
const MAX_RECOVERY: Duration = Duration::from_secs(20);

/// Runbook: `docs/runbooks/gateway_down.md`
#[tokio::test(flavor = "multi_thread")]
async fn gateway_down() {
    let down = async |env: &mut DrillEnvironment| {
        env.gateway.kill().await;
        wait_for_open_breaker(env.service()).await;
        hold_for(OUTAGE).await;
        env.gateway.restart().await
    };
    drill("gateway_down", down).await;
}

/// Runbook: `docs/runbooks/gateway_slow.md`
///
/// Slower than `breaker.slow_call_duration_threshold`, and still within `payments.read_timeout`.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_slow() {
    let slow = async |env: &mut DrillEnvironment| {
        env.gateway.set_faults(json!({"latency_ms": 1200})).await;
        wait_for_open_breaker(env.service()).await;
        hold_for(OUTAGE).await;
        env.gateway.set_faults(json!({})).await
    };
    drill("gateway_slow", slow).await;
}

/// Runbook: `docs/runbooks/gateway_flapping.md`
#[tokio::test(flavor = "multi_thread")]
async fn gateway_flapping() {
    let flapping = async |env: &mut DrillEnvironment| {
        for _ in 0..3 {
            env.gateway.set_faults(json!({"error_rate": 1.0})).await;
            wait_for_open_breaker(env.service()).await;
            env.gateway.set_faults(json!({})).await;
            let charged = r#"orderly_job_attempts_total{kind="payment",outcome="charged"}"#;
            let before = env.service().metric(charged).await;
            env.service()
                .wait_for_metric(charged, |now| now > before)
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
    let hanging = async |env: &mut DrillEnvironment| {
        env.gateway.set_faults(json!({"hang_rate": 1.0})).await;
        wait_for_open_breaker(env.service()).await;
        hold_for(OUTAGE).await;
        env.gateway.set_faults(json!({})).await
    };
    drill("gateway_hanging", hanging).await;
}

/// Runbook: `docs/runbooks/gateway_resetting.md`
///
/// The nasty one: half of the charges are made, and their answers are lost.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_resetting() {
    let resetting = async |env: &mut DrillEnvironment| {
        let faults = json!({"charge_then_reset_rate": 0.5, "reset_rate": 0.5});
        env.gateway.set_faults(faults).await;
        wait_for_open_breaker(env.service()).await;
        hold_for(OUTAGE).await;
        env.gateway.set_faults(json!({})).await
    };
    drill("gateway_resetting", resetting).await;
}

/// `inject_fault` returns when the gateway is well again.
async fn drill(
    name: &'static str,
    inject_fault: impl AsyncFnOnce(&mut DrillEnvironment) -> Instant,
) {
    let mut env = DrillEnvironment::start(name, &[]).await;
    let load = env.start_load(20).await;
    let restored_at = inject_fault(&mut env).await;
    assert_eq!(env.service().probe("/readyz").await, Some(200));
    let recovered = wait_until_backlog_is_paid(&env, restored_at).await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    assert_eq!(dead_jobs(&env).await, 0, "payments were dead-lettered");
    env.finish(&results, recovered).await;
}

async fn wait_for_open_breaker(service: &Replica) {
    let breaker = r#"orderly_breaker_state{breaker="gateway"}"#;
    service.wait_for_metric(breaker, |state| state == 2.0).await;
}

async fn wait_until_backlog_is_paid(env: &DrillEnvironment, since: Instant) -> Duration {
    let mut conn = env.database().await;
    let now = "SELECT (extract(epoch FROM now()) * 1000)::int8 AS value";
    let now_ms = query_number(&mut conn, now).await;
    let left = format!(
        "SELECT count(*) AS value FROM jobs \
         WHERE kind = 'payment' AND due_at <= to_timestamp({now_ms} / 1000.0)"
    );
    eventually("what waited is paid", async || {
        (query_number(&mut conn, &left).await == 0).then_some(())
    })
    .await;
    let duration = since.elapsed();
    assert!(
        duration <= MAX_RECOVERY,
        "it took {duration:?} until all was paid"
    );
    duration
}

async fn dead_jobs(env: &DrillEnvironment) -> i64 {
    let dead = "SELECT count(*) AS value FROM jobs WHERE dead_at IS NOT NULL";
    query_number(&mut env.database().await, dead).await
}
