//! Changing the configuration of a service that runs; the files and the signal are
//! in `tests/process/config_reload.rs`.

use std::time::Duration;

use orderly::app::reload::ReloadOutcome;
use orderly::config::{self, ConfigSources, Settings};

use crate::support::app::{TestApp, test_settings};

/// Halfway between the floor and the ceiling of the tests.
const INITIAL_LIMIT: f64 = 456.0;

/// The settings that the test's service was started with.
fn initial_settings(app: &TestApp) -> Settings {
    test_settings(&app.database, &app.gateway)
}

async fn limit(app: &TestApp) -> f64 {
    let limit = app.metric("orderly_requests_in_flight_limit").await;
    limit.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_applies_safe_settings_and_reports_rest() {
    let app = TestApp::start().await;
    assert_eq!(limit(&app).await, INITIAL_LIMIT);
    let mut new = initial_settings(&app);
    new.load_shedding.min_limit = 470;
    new.breaker.minimum_calls = 2;
    new.rate_limit.enabled = true;
    new.rate_limit.read_burst = 7;
    new.database.pool_size = 11;
    new.http.slow_request_threshold = Duration::from_secs(1);
    let reloaded = app.app.reloader.reload(Ok(new)).unwrap();
    let expected = ReloadOutcome {
        applied: vec![
            "breaker.minimum_calls".into(),
            "load_shedding.min_limit".into(),
            "rate_limit.enabled".into(),
            "rate_limit.read_burst".into(),
        ],
        needs_restart: vec![
            "database.pool_size".into(),
            "http.slow_request_threshold".into(),
        ],
    };
    assert_eq!(reloaded, expected);
    assert_eq!(limit(&app).await, 470.0);
    let response = app.get("/v1/products", "").await;
    let policy = response.header("ratelimit-policy").unwrap();
    assert!(policy.contains("q=7"), "{policy}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_reports_pending_restart_until_reverted() {
    let app = TestApp::start().await;
    let mut new = initial_settings(&app);
    new.http.port = 1;
    for _ in 0..2 {
        let reloaded = app.app.reloader.reload(Ok(new.clone())).unwrap();
        assert_eq!(reloaded.needs_restart, ["http.port"]);
        assert!(reloaded.applied.is_empty());
    }
    let undone = app.app.reloader.reload(Ok(initial_settings(&app))).unwrap();
    assert!(undone.needs_restart.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_reload_changes_nothing_and_is_counted() {
    let app = TestApp::start().await;
    let failures = "orderly_config_reload_failures_total";
    let successful = "orderly_config_last_reload_successful";
    assert_eq!(app.metric(failures).await, Some(0.0));
    assert_eq!(app.metric(successful).await, Some(1.0));

    // One that is right, one that is not.
    let mut inputs = ConfigSources::default();
    inputs.flags.set = vec![
        ("load_shedding.min_limit".into(), "470".into()),
        ("load_shedding.max_limit".into(), "0".into()),
    ];
    let read = config::load_from(&inputs).map(|loaded| loaded.settings);
    app.app.reloader.reload(read).unwrap_err();
    assert_eq!(limit(&app).await, INITIAL_LIMIT);
    assert_eq!(app.metric(failures).await, Some(1.0));
    assert_eq!(app.metric(successful).await, Some(0.0));

    app.app.reloader.reload(Ok(initial_settings(&app))).unwrap();
    assert_eq!(app.metric(failures).await, Some(1.0));
    assert_eq!(app.metric(successful).await, Some(1.0));
    app.finish().await;
}
