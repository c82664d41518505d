//! What the log says of a payment that can't be made.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orderly::config::BreakerConfig;
use orderly::resilience::breaker::Breaker;
use orderly::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tracing::Level;

use super::workers::{notify_until_paid, place_order_without_notification, poll_rarely, worker};
use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::fixtures::id;

/// The log of the test's own thread.
#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl CapturedLog {
    /// The lines of the payment worker since this was last asked.
    fn take_worker_lines(&self) -> Vec<Value> {
        let written = std::mem::take(&mut *self.0.lock().unwrap());
        let lines = written.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
            .filter(|line| line["target"] == "orderly::jobs::queue::attempt")
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_reason_of_retry_but_not_skipped_attempt() {
    let app = TestApp::start_with(poll_rarely).await;
    let (customer, order) = place_order_without_notification(&app).await;
    app.set_faults(&json!({"error_rate": 1.0})).await;
    let mut worker = worker(&app, Duration::from_mins(10));
    let opens_after_first_failure = BreakerConfig {
        minimum_calls: 1,
        open_duration: Duration::from_mins(10),
        ..BreakerConfig::default()
    };
    let metrics = Metrics::new().unwrap().breakers;
    worker.job.gateway.breaker = Breaker::new("test", opens_after_first_failure, metrics);
    worker.config.poll_interval = Duration::ZERO;
    let process_once = async || {
        let job = eventually("the job is due", async || worker.lease(1).await.pop()).await;
        worker.process(&job).await;
    };

    let log = CapturedLog::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(Level::DEBUG)
        .with_writer(move || lines.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    process_once().await;
    let worker_lines = log.take_worker_lines();
    let mut warnings = worker_lines.iter().filter(|line| line["level"] == "WARN");
    let line = warnings.next().unwrap();
    assert_eq!(line["message"], "job rescheduled");
    assert_eq!(line["key"], id(&order));
    assert_eq!(
        (&line["kind"], &line["attempt"]),
        (&json!("payment"), &json!(1))
    );
    assert!(line["reason"].as_str().unwrap().contains("503"), "{line}");
    assert!(line["retry_in_ms"].as_u64().unwrap() <= 100, "{line}");
    assert_eq!(warnings.next(), None);

    // The breaker is open now, and may be for hours.
    process_once().await;
    let worker_lines = log.take_worker_lines();
    assert!(!worker_lines.is_empty());
    for line in worker_lines {
        assert_eq!(line["level"], "DEBUG", "{line}");
    }
    app.restore_gateway().await;
    notify_until_paid(&app, &customer, &order).await;
    app.finish().await;
}
