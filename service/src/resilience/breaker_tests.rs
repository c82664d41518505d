use super::*;
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
    let metrics = BreakerMetrics::new().unwrap();
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
async fn it_opens_at_the_failure_rate_and_not_before() {
    let breaker = breaker();
    succeed(&breaker, 3);
    fail(&breaker, 2);
    assert_eq!(breaker.state(), BreakerState::Closed, "2 of 5 failed");
    fail(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Open, "3 of 6 failed");
    let refused = breaker.try_acquire().err().unwrap();
    assert_eq!(refused.retry_after, 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn too_few_calls_prove_nothing() {
    let breaker = breaker();
    fail(&breaker, 3);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn slow_answers_open_it_too() {
    let breaker = breaker();
    for _ in 0..4 {
        let permit = breaker.try_acquire().unwrap();
        advance(SECOND).await;
        permit.succeed();
    }
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn old_failures_are_forgotten() {
    let breaker = breaker();
    fail(&breaker, 3);
    advance(11 * SECOND).await;
    fail(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Closed, "3 failures are over");
}

#[tokio::test(start_paused = true)]
async fn probes_are_bounded_and_all_must_succeed() {
    let breaker = breaker();
    fail(&breaker, 4);
    assert_eq!(breaker.available_permits(), Some(0));
    advance(5 * SECOND).await;
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(breaker.available_permits(), Some(2));
    let (one, two) = (
        breaker.try_acquire().unwrap(),
        breaker.try_acquire().unwrap(),
    );
    assert!(breaker.try_acquire().is_err(), "two probes are under way");
    one.succeed();
    assert!(breaker.try_acquire().is_err(), "the other still is");
    two.succeed();
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.available_permits(), None);
}

#[tokio::test(start_paused = true)]
async fn one_failed_probe_opens_it_again() {
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
async fn an_abandoned_probe_gives_its_place_back() {
    let breaker = breaker();
    fail(&breaker, 4);
    advance(5 * SECOND).await;
    drop(breaker.try_acquire().unwrap());
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_from_before_a_transition_does_not_count() {
    let breaker = breaker();
    let late = breaker.try_acquire().unwrap();
    fail(&breaker, 4);
    advance(5 * SECOND).await;
    let probe = breaker.try_acquire().unwrap();
    late.fail();
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    probe.succeed();
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn thresholds_can_be_changed_while_it_runs() {
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
async fn fewer_probes_than_have_succeeded_close_it() {
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
async fn the_gauge_of_one_that_nobody_calls_says_half_open_when_it_is_looked_at() {
    let breaker = breaker();
    let gauge = || breaker.0.metrics.state.with_label_values(&["test"]).get();
    fail(&breaker, 4);
    assert_eq!((breaker.state(), gauge()), (BreakerState::Open, 2));
    advance(5 * SECOND).await;
    assert_eq!((breaker.state(), gauge()), (BreakerState::HalfOpen, 1));
}
