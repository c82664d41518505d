//! What the log says of a payment that can't be made.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orderly::config::BreakerConfig;
use orderly::resilience::breaker::Breaker;
use orderly::telemetry::metrics::BreakerMetrics;
use serde_json::{Value, json};
use tracing::Level;

use super::workers::{order_without_a_ring, ring_until_paid, sleepy, worker};
use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::shop::id;

/// The log of the test's own thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines of the payment worker since this was last asked.
    fn of_the_worker(&self) -> Vec<Value> {
        let written = std::mem::take(&mut *self.0.lock().unwrap());
        let lines = written.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
            .filter(|line| line["target"] == "orderly::jobs::payments")
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_reason_of_retry_but_not_skipped_attempt() {
    let app = TestApp::start_with(sleepy).await;
    let (customer, order) = order_without_a_ring(&app).await;
    app.faults(&json!({"error_rate": 1.0})).await;
    let mut worker = worker(&app, Duration::from_mins(10));
    let opens_at_once = BreakerConfig {
        minimum_calls: 1,
        open_duration: Duration::from_mins(10),
        ..BreakerConfig::default()
    };
    let metrics = BreakerMetrics::new().unwrap();
    worker.gateway.breaker = Breaker::new("test", opens_at_once, metrics);
    worker.config.poll_interval = Duration::ZERO;
    let try_once = async || {
        let job = eventually("the job is due", async || worker.lease(1).await.pop()).await;
        worker.process(&job).await;
    };

    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(Level::DEBUG)
        .with_writer(move || lines.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    try_once().await;
    let said = log.of_the_worker();
    let mut warnings = said.iter().filter(|line| line["level"] == "WARN");
    let line = warnings.next().unwrap();
    assert_eq!(line["message"], "a payment was put off");
    assert_eq!(line["order_id"], id(&order));
    assert_eq!(
        (&line["kind"], &line["attempt"]),
        (&json!("charge"), &json!(1))
    );
    assert!(line["reason"].as_str().unwrap().contains("503"), "{line}");
    assert!(line["retry_in_ms"].as_f64().unwrap() <= 100.0, "{line}");
    assert_eq!(warnings.next(), None);

    // The breaker is open now, and may be for hours.
    try_once().await;
    let said = log.of_the_worker();
    assert!(!said.is_empty());
    for line in said {
        assert_eq!(line["level"], "DEBUG", "{line}");
    }
    app.gateway_comes_back().await;
    ring_until_paid(&app, &customer, &order).await;
    app.finish().await;
}
