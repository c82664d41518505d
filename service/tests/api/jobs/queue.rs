//! What the queue does for every kind of job. The guarantees of payments are in `tests/api/payments`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use orderly::config::JobConfig;
use orderly::jobs::queue::{Job, JobError, JobWorker};
use orderly::storage::database::Database;
use orderly::storage::dead_jobs::{self, DeadJobFilter};
use orderly::storage::jobs::{self, LeasedJob, NewJob};
use orderly::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::app::TestApp;
use crate::support::sql::query_texts;

/// A kind of its own: notes what it ran.
#[derive(Clone)]
struct Note {
    database: Database,
    noted: Arc<Mutex<Vec<String>>>,
}

impl Job for Note {
    const KIND: &'static str = "note";
    const OUTCOMES: &'static [&'static str] = &["noted"];
    type Payload = String;

    async fn run(&self, text: &String, job: &LeasedJob) -> Result<&'static str, JobError> {
        match text.as_str() {
            "panic" => panic!("a job panics"),
            "permanent" => return Err(JobError::Permanent("never".to_owned())),
            "transient" => return Err(JobError::Transient("not now".to_owned())),
            "not attempted" => return Err(JobError::NotAttempted),
            text => self.noted.lock().unwrap().push(text.to_owned()),
        }
        let mut conn = self.database.connection().await.unwrap();
        jobs::complete(&mut conn, job).await.unwrap();
        Ok("noted")
    }
}

struct QueueTest {
    app: TestApp,
    conn: AsyncPgConnection,
    worker: JobWorker<Note>,
}

impl QueueTest {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let database = app.app.services.database.clone();
        Self {
            conn: app.database.connect().await,
            worker: JobWorker {
                job: Note {
                    database: database.clone(),
                    noted: Arc::default(),
                },
                database,
                config: JobConfig {
                    max_attempts: 2,
                    min_retry_duration: Duration::ZERO,
                    backoff_base: Duration::ZERO,
                    backoff_cap: Duration::ZERO,
                    poll_interval: Duration::from_millis(10),
                    ..JobConfig::default()
                },
                metrics: Metrics::new().unwrap().jobs,
            },
            app,
        }
    }

    async fn enqueue(&mut self, payload: &Value, key: Option<&str>, delay: Duration) {
        let job = NewJob {
            kind: Note::KIND,
            key,
            payload,
            delay,
        };
        jobs::enqueue(&mut self.conn, job).await.unwrap();
    }

    /// Enqueues a job that is due now and processes it.
    async fn process(&mut self, payload: &Value) {
        self.enqueue(payload, None, Duration::ZERO).await;
        for job in self.worker.lease(10).await {
            self.worker.process(&job).await;
        }
    }

    fn noted(&self) -> Vec<String> {
        self.worker.job.noted.lock().unwrap().clone()
    }

    fn attempts(&self, outcome: &str) -> u64 {
        let attempts = &self.worker.metrics.job_attempts;
        attempts.with_label_values(&[Note::KIND, outcome]).get()
    }

    /// Attempts, whether it is dead-lettered, and the last error of each job in the table.
    async fn rows(&mut self) -> Vec<String> {
        let rows = "SELECT concat_ws(' ', attempts, CASE WHEN dead_at IS NULL THEN 'alive' ELSE 'dead' END,
            last_error) AS value FROM jobs ORDER BY due_at";
        query_texts(&mut self.conn, rows).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_job_of_any_kind_and_deletes_it() {
    let mut test = QueueTest::start().await;
    test.process(&json!("hello")).await;
    assert_eq!(test.noted(), ["hello"]);
    assert_eq!(test.attempts("noted"), 1);
    assert!(test.rows().await.is_empty());
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rolled_back_change_leaves_no_job() {
    let mut test = QueueTest::start().await;
    test.conn.batch_execute("BEGIN").await.unwrap();
    test.enqueue(&json!("hello"), None, Duration::ZERO).await;
    test.conn.batch_execute("ROLLBACK").await.unwrap();
    assert!(test.worker.lease(10).await.is_empty());
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_job_is_retried_and_then_dead_lettered() {
    let mut test = QueueTest::start().await;
    test.process(&json!("transient")).await;
    assert_eq!(test.rows().await, ["1 alive not now"]);
    let retried = test.worker.lease(10).await;
    assert_eq!(retried[0].attempt, 2);
    test.worker.process(&retried[0]).await;
    assert_eq!(test.rows().await, ["2 dead not now"]);
    assert_eq!(
        (test.attempts("rescheduled"), test.attempts("dead_lettered")),
        (1, 1)
    );
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_not_attempted_keeps_its_attempts() {
    let mut test = QueueTest::start().await;
    test.process(&json!("not attempted")).await;
    assert_eq!(test.rows().await, ["0 alive"]);
    assert_eq!(test.attempts("released"), 1);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_permanent_failure() {
    let mut test = QueueTest::start().await;
    test.process(&json!("permanent")).await;
    assert_eq!(test.rows().await, ["1 dead never"]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_unreadable_payload_and_does_not_quote_it() {
    let mut test = QueueTest::start().await;
    test.process(&json!(4_242)).await;
    assert_eq!(test.rows().await, ["1 alive unreadable payload"]);
    let retried = test.worker.lease(10).await.remove(0);
    test.worker.process(&retried).await;
    assert_eq!(test.rows().await, ["2 dead unreadable payload"]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_job_is_not_leased_before_it_is_due() {
    let mut test = QueueTest::start().await;
    test.enqueue(&json!("later"), None, Duration::from_hours(1))
        .await;
    assert!(test.worker.lease(10).await.is_empty());
    let due = "jobs WHERE due_at = run_at AND due_at BETWEEN now() + interval '59 min' \
               AND now() + interval '1 hour'";
    assert_eq!(test.app.database.count_rows(due).await, 1);
    test.app
        .wait_for_metric("orderly_jobs{kind=\"note\",state=\"scheduled\"}", 1.0)
        .await;
    let age = test
        .app
        .metric("orderly_job_oldest_age_seconds{kind=\"note\"} ");
    assert_eq!(age.await, Some(0.0));

    // A kind that is gone from the table is 0, not its last value.
    test.conn.batch_execute("DELETE FROM jobs").await.unwrap();
    test.app
        .wait_for_metric("orderly_jobs{kind=\"note\",state=\"scheduled\"}", 0.0)
        .await;
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_with_same_key_replaces_one_in_progress() {
    let mut test = QueueTest::start().await;
    test.enqueue(&json!("first"), Some("key"), Duration::ZERO)
        .await;
    let first = test.worker.lease(10).await.remove(0);
    test.enqueue(&json!("second"), Some("key"), Duration::ZERO)
        .await;
    assert_eq!(test.rows().await, ["0 alive"]);

    // The worker of the first one lost its lease: it cannot complete the second.
    test.worker.process(&first).await;
    let second = test.worker.lease(10).await.remove(0);
    test.worker.process(&second).await;
    assert_eq!(test.noted(), ["first", "second"]);
    assert!(test.rows().await.is_empty());
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_affects_only_its_own_job() {
    let mut test = QueueTest::start().await;
    test.enqueue(&json!("panic"), Some("panic"), Duration::ZERO)
        .await;
    test.enqueue(&json!("hello"), None, Duration::ZERO).await;
    let (notifications, receiver) = tokio::sync::watch::channel(());
    let stop = CancellationToken::new();
    let running = tokio::spawn(test.worker.clone().run(receiver, stop.clone()));
    test.app
        .database
        .wait_for_row_count("jobs WHERE key <> 'panic'", 0)
        .await;
    stop.cancel();
    running.await.unwrap();
    drop(notifications);
    assert_eq!(
        (test.noted(), test.attempts("panicked")),
        (vec!["hello".to_owned()], 1)
    );
    // Its lease expires, and the job is due again.
    assert_eq!(test.rows().await, ["1 alive"]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_requeues_and_deletes_dead_jobs_of_one_kind() {
    let mut test = QueueTest::start().await;
    test.process(&json!("permanent")).await;
    let dead = dead_jobs::list(&mut test.conn, Some("note"), 10)
        .await
        .unwrap();
    assert_eq!((dead.len(), &dead[0].payload), (1, &json!("permanent")));
    let other = dead_jobs::list(&mut test.conn, Some("payment"), 10).await;
    assert!(other.unwrap().is_empty());
    let of_kind = |kind: &str| DeadJobFilter {
        key: None,
        kind: Some(kind.to_owned()),
    };
    for (kind, expected) in [("payment", 0), ("note", 1), ("note", 0)] {
        let requeued = dead_jobs::requeue(&mut test.conn, &of_kind(kind)).await;
        assert_eq!(requeued.unwrap(), expected, "{kind}");
    }
    let job = test.worker.lease(10).await.remove(0);
    test.worker.process(&job).await;
    for (kind, expected) in [("payment", 0), ("note", 1)] {
        let deleted = dead_jobs::delete(&mut test.conn, &of_kind(kind)).await;
        assert_eq!(deleted.unwrap(), expected, "{kind}");
    }
    assert!(test.rows().await.is_empty());
    test.app.finish().await;
}
