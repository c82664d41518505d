use super::*;
use crate::telemetry::metrics::Metrics;
use std::time::Duration;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

fn breaker() -> Breaker {
    let config = BreakerConfig {
        minimum_calls: 4,
        failure_rate_threshold: 0.5,
        slow_call_rate_threshold: 0.5,
        half_open_calls: 2,
        window: 10 * SECOND,
        slow_call_duration_threshold: SECOND,
        redis_slow_call_duration_threshold: SECOND,
        open_duration: 5 * SECOND,
    };
    let metrics = Metrics::new().unwrap().breakers;
    Breaker::new("test", config, metrics)
}

fn succeed(breaker: &Breaker, times: u32) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().succeed();
    }
}

fn fail(breaker: &Breaker, times: u32) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().fail();
    }
}

#[tokio::test(start_paused = true)]
async fn opens_at_failure_rate_threshold() {
    let breaker = breaker();
    succeed(&breaker, 3);
    fail(&breaker, 2);
    assert_eq!(breaker.state(), BreakerState::Closed, "2 of 5 failed");
    fail(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Open, "3 of 6 failed");
    assert_eq!(breaker.try_acquire().err(), Some(CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn stays_closed_below_minimum_calls() {
    let breaker = breaker();
    fail(&breaker, 3);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn opens_at_slow_call_rate_threshold() {
    let breaker = breaker();
    for _ in 0..4 {
        let permit = breaker.try_acquire().unwrap();
        advance(SECOND).await;
        permit.succeed();
    }
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn failures_outside_window_do_not_count() {
    let breaker = breaker();
    fail(&breaker, 3);
    advance(11 * SECOND).await;
    fail(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Closed, "3 failures are over");
}

#[tokio::test(start_paused = true)]
async fn half_open_limits_probes_and_closes_when_all_succeed() {
    let breaker = breaker();
    fail(&breaker, 4);
    assert_eq!(breaker.available_permits(), Some(0));
    advance(5 * SECOND).await;
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(breaker.available_permits(), Some(2));
    let (first, second) = (
        breaker.try_acquire().unwrap(),
        breaker.try_acquire().unwrap(),
    );
    assert!(breaker.try_acquire().is_err(), "two probes are in flight");
    first.succeed();
    assert!(breaker.try_acquire().is_err(), "the other still is");
    second.succeed();
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.available_permits(), None);
}

#[tokio::test(start_paused = true)]
async fn failed_probe_reopens() {
    let breaker = breaker();
    fail(&breaker, 4);
    advance(5 * SECOND).await;
    fail(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Open);
    advance(4 * SECOND).await;
    assert!(breaker.try_acquire().is_err());
    advance(SECOND).await;
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn dropped_probe_returns_its_permit() {
    let breaker = breaker();
    fail(&breaker, 4);
    advance(5 * SECOND).await;
    drop(breaker.try_acquire().unwrap());
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn ignores_calls_from_before_transition() {
    let breaker = breaker();
    let stale = breaker.try_acquire().unwrap();
    fail(&breaker, 4);
    advance(5 * SECOND).await;
    let probe = breaker.try_acquire().unwrap();
    stale.fail();
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    probe.succeed();
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn reconfigure_changes_thresholds() {
    let breaker = breaker();
    fail(&breaker, 3);
    let config = BreakerConfig {
        minimum_calls: 2,
        ..breaker.lock().config.clone()
    };
    breaker.reconfigure(config);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn reconfigure_to_fewer_probes_closes() {
    let breaker = breaker();
    fail(&breaker, 4);
    advance(5 * SECOND).await;
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::HalfOpen, "one of two");
    let config = BreakerConfig {
        half_open_calls: 1,
        ..breaker.lock().config.clone()
    };
    breaker.reconfigure(config);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn state_updates_gauge_without_call() {
    let breaker = breaker();
    let gauge = || {
        breaker
            .0
            .metrics
            .breaker_state
            .with_label_values(&["test"])
            .get()
    };
    fail(&breaker, 4);
    assert_eq!((breaker.state(), gauge()), (BreakerState::Open, 2));
    advance(5 * SECOND).await;
    assert_eq!((breaker.state(), gauge()), (BreakerState::HalfOpen, 1));
}

#[tokio::test(start_paused = true)]
async fn half_open_counts_finished_and_current_probes_together() {
    let breaker = breaker();
    let config = BreakerConfig {
        half_open_calls: 3,
        ..breaker.lock().config.clone()
    };
    breaker.reconfigure(config);
    fail(&breaker, 4);
    advance(5 * SECOND).await;
    succeed(&breaker, 1);
    let _second = breaker.try_acquire().unwrap();
    assert_eq!(
        breaker.available_permits(),
        Some(1),
        "one done, one in flight"
    );
    let _third = breaker.try_acquire().unwrap();
    assert_eq!(
        breaker.available_permits(),
        Some(0),
        "one done, two in flight"
    );
    assert_eq!(breaker.try_acquire().err(), Some(CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn reconfigure_of_window_begins_new_count() {
    let breaker = breaker();
    fail(&breaker, 3);
    let config = BreakerConfig {
        window: 20 * SECOND,
        ..breaker.lock().config.clone()
    };
    breaker.reconfigure(config);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Closed, "one of four needed");
    fail(&breaker, 3);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn opens_when_half_of_calls_are_slow() {
    let breaker = breaker();
    for _ in 0..2 {
        let permit = breaker.try_acquire().unwrap();
        advance(SECOND).await;
        permit.succeed();
    }
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn counts_calls_by_outcome() {
    let breaker = breaker();
    let slow = breaker.try_acquire().unwrap();
    advance(SECOND).await;
    slow.succeed();
    succeed(&breaker, 2);
    fail(&breaker, 3);
    assert_eq!(breaker.state().as_str(), "open");
    assert!(breaker.try_acquire().is_err());
    let calls = &breaker.0.metrics.breaker_calls;
    let counts = ["success", "slow", "failure", "rejected"]
        .map(|outcome| calls.with_label_values(&["test", outcome]).get());
    assert_eq!(counts, [2, 1, 3, 1]);
}
