//! The database: whether it responds, and whether orders can be written.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::timeout;

use super::{CheckResult, HealthCheck};
use crate::resilience::mutex::lock;
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::session::{WriteAccess, write_access};

/// Whether Postgres responds and accepts orders, on a connection of its own: neither requests nor
/// jobs that hold every connection of their pools can make a healthy Postgres look unavailable.
///
/// A database that can't be written degrades the service, and leaves it ready: reads still work,
/// and all replicas share the database, so an unready replica would only take the reads away too.
pub(crate) struct PostgresCheck {
    database: Database,
    session: Mutex<Option<KeptSession>>,
}

/// Time after which a new session is opened: it may have other defaults, or reach another server.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Time for that, well below `health.timeout`. A server that is slow to open sessions still works.
const RENEWAL_TIMEOUT: Duration = Duration::from_millis(300);

struct KeptSession {
    conn: AsyncPgConnection,
    opened_at: Instant,
    access: WriteAccess,
}

impl PostgresCheck {
    /// Connects at the first run.
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            session: Mutex::default(),
        }
    }

    /// Returns what the kept session may write. If it can't write, or is old, a new session decides,
    /// provided that it opens in time: after a failover it is on another server. A run that is
    /// dropped, because it took too long, keeps no session.
    async fn write_access(&self) -> Result<WriteAccess, StorageError> {
        let mut session = match self.ask_kept_session().await {
            None => self.open_session().await?,
            Some(kept) if kept.access.is_writable() && kept.opened_at.elapsed() < MAX_AGE => kept,
            Some(kept) => match timeout(RENEWAL_TIMEOUT, self.open_session()).await {
                Ok(Ok(renewed)) => renewed,
                _ => kept,
            },
        };
        if session.access.is_writable() && session.opened_at.elapsed() >= MAX_AGE {
            // The renewal failed, and is due again as if it had not.
            session.opened_at = Instant::now();
        }
        let access = session.access;
        *lock(&self.session) = Some(session);
        Ok(access)
    }

    async fn ask_kept_session(&self) -> Option<KeptSession> {
        let mut kept = lock(&self.session).take()?;
        kept.access = write_access(&mut kept.conn).await.ok()?;
        Some(kept)
    }

    async fn open_session(&self) -> Result<KeptSession, StorageError> {
        let mut conn = self.database.probe_connection().await?;
        let access = write_access(&mut conn).await?;
        Ok(KeptSession {
            conn,
            opened_at: Instant::now(),
            access,
        })
    }
}

impl HealthCheck for PostgresCheck {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn is_essential(&self) -> bool {
        true
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let access = self.write_access().await?;
            Ok(CheckResult::degraded_if(
                !access.is_writable(),
                json!({
                    "writable": access.is_writable(),
                    "in_recovery": access.in_recovery,
                    "read_only": access.read_only,
                    "may_insert": access.may_insert,
                }),
            ))
        })
    }
}
