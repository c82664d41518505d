//! One connection: how it is opened, and how it comes back to the pool.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::InstrumentationEvent;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::PoolableConnection as _;
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::error::StorageError;
use super::statement_instrumentation::StatementInstrumentation;
use crate::config::{DatabaseConfig, SslMode, variable_name};
use crate::resilience::deadline;
use crate::tls;

/// A connection on loan from a pool; it goes back when it is dropped.
///
/// If the deadline of the request is over by then, its last statement may still
/// run on the server: nobody waits for it, but the next borrower would have to.
/// And if it was dropped in the midst of a transaction, by a panic or since the client
/// has gone, the transaction's locks would wait in the pool for that borrower.
/// So the server is asked to cancel what runs, and the connection is closed.
pub struct Connection {
    pooled: Option<Object<AsyncPgConnection>>,
    connector: Connector,
}

impl Connection {
    pub(super) fn new(mut pooled: Object<AsyncPgConnection>, connector: Connector) -> Self {
        // Each loan has a watch of its own: what the last borrower left unfinished is not ours.
        connector.instrument_statements(&mut pooled);
        Self {
            pooled: Some(pooled),
            connector,
        }
    }
}

impl Deref for Connection {
    type Target = AsyncPgConnection;

    #[expect(clippy::expect_used, reason = "it is only taken by drop")]
    fn deref(&self) -> &AsyncPgConnection {
        self.pooled.as_ref().expect("taken by drop only")
    }
}

impl DerefMut for Connection {
    #[expect(clippy::expect_used, reason = "it is only taken by drop")]
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.pooled.as_mut().expect("taken by drop only")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(mut pooled) = self.pooled.take() {
            let in_time = deadline::remaining() != Some(Duration::ZERO);
            if in_time && !pooled.is_broken() {
                return;
            }
            let mut abandoned = Object::take(pooled);
            // The watch says here what still ran: later nobody knows for which request.
            abandoned.set_instrumentation(|_: InstrumentationEvent<'_>| {});
            let cancel = abandoned.cancel_token();
            let connector = self.connector.clone();
            self.connector.main.spawn(async move {
                connector.cancel(&cancel).await;
                drop(abandoned);
            });
        }
    }
}

/// Opens connections, always on the main runtime.
#[derive(Clone)]
pub(super) struct Connector {
    session: Arc<tokio_postgres::Config>,
    tls: Option<MakeRustlsConnect>,
    slow_statement: Duration,
    connect_timeout: Duration,
    main: Handle,
}

impl Connector {
    pub(super) fn new(url: &str, config: &DatabaseConfig, main: Handle) -> anyhow::Result<Self> {
        let (mode, mut session) = SslMode::parse_url(url)
            .map_err(|expected| anyhow::anyhow!("{}: {expected}", variable_name("database.url")))?;
        let tls = match mode {
            SslMode::Disable => None,
            SslMode::Require => Some(tls::client::non_verifying_config()),
            SslMode::VerifyFull => {
                let ca = config.ca_certificate.as_deref();
                let from = variable_name("database.ca_certificate");
                Some(tls::client::verifying_config(ca, &from)?)
            }
        };
        session
            .application_name(&config.application_name)
            .connect_timeout(config.connect_timeout)
            .keepalives(true)
            .keepalives_idle(config.keepalive)
            .tcp_user_timeout(config.tcp_user_timeout)
            .options(format!(
                "-c statement_timeout={} -c lock_timeout={} \
                 -c idle_in_transaction_session_timeout={} -c timezone=UTC",
                config.statement_timeout.as_millis(),
                config.lock_timeout.as_millis(),
                config.idle_in_transaction_timeout.as_millis(),
            ));
        Ok(Self {
            session: Arc::new(session),
            tls: tls.map(MakeRustlsConnect::new),
            slow_statement: config.slow_statement_threshold,
            connect_timeout: config.connect_timeout,
            main,
        })
    }

    /// Over a connection of its own, protected like the one whose statement it cancels.
    /// A TLS handshake with a server that is silent would never end: these would pile up,
    /// each with the connection that it is about.
    async fn cancel(&self, statement: &CancelToken) {
        let cancel = async {
            match &self.tls {
                Some(tls) => statement.cancel_query(tls.clone()).await,
                None => statement.cancel_query(NoTls).await,
            }
        };
        match timeout(self.connect_timeout, cancel).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "an abandoned statement can't be cancelled");
            }
            Err(_) => tracing::debug!("nobody answers who could cancel an abandoned statement"),
        }
    }

    /// Watches the statements of a connection from now on.
    pub(super) fn instrument_statements(&self, conn: &mut AsyncPgConnection) {
        conn.set_instrumentation(StatementInstrumentation::new(self.slow_statement));
    }

    /// Runs `work` where the connections' own tasks run.
    pub(super) async fn run_on_main<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let work = deadline::with_current_deadline(work).in_current_span();
        match AbortOnDropHandle::new(self.main.spawn(work)).await {
            Ok(done) => Ok(done),
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StorageError::Unavailable(
                    "the main runtime is shutting down".to_owned(),
                )),
            },
        }
    }

    /// Opens one, or gives up after `database.connect_timeout`. So does the attempt
    /// itself then, as well as when who asked has left: a server that accepts and is
    /// silent would collect them, and let them all in at once when it wakes up.
    pub(super) async fn open(&self) -> ConnectionResult<AsyncPgConnection> {
        let connector = self.clone();
        let open = async move {
            match connector.tls {
                Some(tls) => connect(&connector.session, tls).await,
                None => connect(&connector.session, NoTls).await,
            }
        };
        let open = timeout(self.connect_timeout, open);
        match AbortOnDropHandle::new(self.main.spawn(open)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err(bad_connection("timed out while connecting")),
            Err(_) => Err(bad_connection("the main runtime is shutting down")),
        }
    }
}

fn bad_connection(reason: &str) -> ConnectionError {
    ConnectionError::BadConnection(reason.to_owned())
}

async fn connect<T>(session: &tokio_postgres::Config, tls: T) -> ConnectionResult<AsyncPgConnection>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, driver) = (session.connect(tls).await)
        .map_err(|error| ConnectionError::BadConnection(with_cause(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, driver).await
}

/// tokio-postgres says only "error connecting to server"; the reason is below it.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
