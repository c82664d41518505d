//! The depth of the job queue, by kind.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Int8, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::StorageError;
use super::statement::statement;

/// Jobs of one kind in the queue.
pub(crate) struct QueueDepth {
    pub(crate) kind: String,
    /// Jobs that will be due for the first time.
    pub(crate) scheduled: i64,
    /// Jobs that are due or have been, without the dead-lettered.
    pub(crate) waiting: i64,
    pub(crate) dead_lettered: i64,
    /// Time at which the oldest job was or will be due, without the dead-lettered.
    pub(crate) oldest_due_at: Option<DateTime<Utc>>,
}

type DepthColumns = (Text, Int8, Int8, Int8, Nullable<Timestamptz>);
type DepthRow = (String, i64, i64, i64, Option<DateTime<Utc>>);

statement! {
    CountJobs {} returns DepthColumns;
    "SELECT kind, count(*) FILTER (WHERE dead_at IS NULL AND due_at > now()), \
     count(*) FILTER (WHERE dead_at IS NULL AND due_at <= now()), \
     count(*) FILTER (WHERE dead_at IS NOT NULL), \
     min(due_at) FILTER (WHERE dead_at IS NULL) FROM jobs GROUP BY kind"
}

/// Returns the depth of the queue for each kind that has jobs.
pub(crate) async fn measure(conn: &mut AsyncPgConnection) -> Result<Vec<QueueDepth>, StorageError> {
    let rows: Vec<DepthRow> = CountJobs {}.load(conn).await?;
    let depths =
        rows.into_iter()
            .map(
                |(kind, scheduled, waiting, dead_lettered, oldest_due_at)| QueueDepth {
                    kind,
                    scheduled,
                    waiting,
                    dead_lettered,
                    oldest_due_at,
                },
            );
    Ok(depths.collect())
}
