//! Settings that only make sense together: what is refused, and what is only warned of.

use insta::assert_snapshot;
use orderly::config;

use super::place;

#[test]
fn rejects_settings_that_never_take_effect() {
    let here = place("relations")
        .variable("ORDERLY__LOAD_SHEDDING__MAX_LIMIT", "8")
        .variable("ORDERLY__RETRY__BACKOFF_CAP", "1ms")
        .variable("ORDERLY__REDIS__BACKOFF_BASE", "2s")
        .variable("ORDERLY__BREAKER__SLOW_CALL_DURATION_THRESHOLD", "4s")
        .variable("ORDERLY__CACHE__TTL", "1s")
        .variable("ORDERLY__CACHE__LOCAL_TTL", "2s")
        .variable("ORDERLY__CACHE__NEGATIVE_TTL", "3s");
    assert_snapshot!(here.mistakes(), @"
    The configuration has 6 problems:

      ORDERLY__BREAKER__SLOW_CALL_DURATION_THRESHOLD (environment)
        does not fit: breaker.slow_call_duration_threshold = 4s (environment), payments.read_timeout = 4s (default)
        breaker.slow_call_duration_threshold must be shorter than payments.read_timeout

      ORDERLY__RETRY__BACKOFF_CAP (environment)
        does not fit: retry.backoff_base = 50ms (default), retry.backoff_cap = 1ms (environment)
        retry.backoff_base must not be longer than retry.backoff_cap

      ORDERLY__REDIS__BACKOFF_BASE (environment)
        does not fit: redis.backoff_base = 2s (environment), redis.backoff_cap = 1s (default)
        redis.backoff_base must not be longer than redis.backoff_cap

      ORDERLY__CACHE__LOCAL_TTL (environment)
        does not fit: cache.local_ttl = 2s (environment), cache.ttl = 1s (environment)
        cache.local_ttl must not be longer than cache.ttl

      ORDERLY__CACHE__NEGATIVE_TTL (environment)
        does not fit: cache.negative_ttl = 3s (environment), cache.ttl = 1s (environment)
        cache.negative_ttl must not be longer than cache.ttl

      ORDERLY__LOAD_SHEDDING__MIN_LIMIT
        is above load_shedding.max_limit
        lower it, or raise load_shedding.max_limit
    ");
    // Equal is as good where nothing has to be left.
    here.variable("ORDERLY__LOAD_SHEDDING__MAX_LIMIT", "16")
        .variable("ORDERLY__RETRY__BACKOFF_CAP", "50ms")
        .variable("ORDERLY__REDIS__BACKOFF_BASE", "1s")
        .variable("ORDERLY__BREAKER__SLOW_CALL_DURATION_THRESHOLD", "3s")
        .variable("ORDERLY__CACHE__TTL", "3s")
        .load();
    let quick = place("relations-quick").variable("ORDERLY__PAYMENTS__TIMEOUT", "3s");
    let mistakes = quick.mistakes();
    let slow_call = "breaker.slow_call_duration_threshold must be shorter than payments.timeout";
    assert!(mistakes.contains(slow_call), "{mistakes}");
}

#[test]
fn warns_at_startup_of_suboptimal_settings() {
    assert!(config::warnings(&place("no-advice").load().settings).is_empty());
    let here = place("advice")
        .variable("ORDERLY__SHUTDOWN__DRAIN_TIMEOUT", "1s")
        .variable("ORDERLY__HTTP__REQUEST_TIMEOUT", "3s");
    assert_snapshot!(config::warnings(&here.load().settings).join("\n"), @"
    database.statement_timeout = 8s, http.request_timeout = 3s: database.statement_timeout should be shorter than http.request_timeout
    http.request_timeout = 3s, shutdown.drain_timeout = 1s: http.request_timeout should be shorter than shutdown.drain_timeout
    ");
    // It has no database: it gets no further than this.
    let started = here.run(&["serve"]);
    let log =
        String::from_utf8(started.stdout).unwrap() + &String::from_utf8(started.stderr).unwrap();
    assert!(log.contains("shutdown.drain_timeout = 1s"), "{log}");
}
