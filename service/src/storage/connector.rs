//! Opens connections to Postgres.

use std::sync::Arc;
use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use super::connection_budget::ConnectionBudget;
use super::open_sessions::OpenSessions;
use super::pooler::{self, TransactionStart};
use super::session::{session_parameters, startup_options};
use super::sqlstate::SessionErrors;
use super::statement_instrumentation::{RunningStatements, StatementInstrumentation};
use super::transport::Transport;
use crate::config::{DatabaseConfig, Pooler, SslMode, variable_name};
use crate::telemetry::metrics::SessionMetrics;
use crate::tls;

/// An open connection, and the errors that it has received.
pub(super) struct Session {
    pub(super) conn: AsyncPgConnection,
    pub(super) errors: Arc<SessionErrors>,
}

/// A setting that is an address, its value, and what it leads to.
pub(super) struct Address<'a> {
    pub(super) key: &'static str,
    pub(super) url: &'a str,
    pub(super) pooler: Pooler,
}

/// Opens connections, always on the main runtime.
#[derive(Clone)]
pub(super) struct Connector {
    session: Arc<tokio_postgres::Config>,
    pub(super) transport: Transport,
    /// The setting that the address is from.
    pub(super) url_key: &'static str,
    pub(super) pooler: Pooler,
    slow_statement: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) statement_timeout: Duration,
    pub(super) runtime: Handle,
    pub(super) open_sessions: OpenSessions,
    /// For connections of the pools and for cancellations.
    pub(super) budget: ConnectionBudget,
    pub(super) metrics: SessionMetrics,
}

impl Connector {
    pub(super) fn new(
        Address { key, url, pooler }: Address<'_>,
        config: &DatabaseConfig,
        runtime: Handle,
        metrics: SessionMetrics,
    ) -> anyhow::Result<Self> {
        let (mode, mut session) = SslMode::parse_url(url)
            .map_err(|expected| anyhow::anyhow!("{}: {expected}", variable_name(key)))?;
        let tls = match mode {
            SslMode::Disable => None,
            SslMode::Require => Some(tls::client::non_verifying_config()),
            SslMode::VerifyFull => {
                let ca = config.ca_certificate.as_deref();
                let from = variable_name("database.ca_certificate");
                Some(tls::client::verifying_config(ca, &from)?)
            }
        };
        let mut transport = Transport::new(tls.map(MakeRustlsConnect::new));
        transport.configure(&mut session);
        session
            .application_name(&config.application_name)
            .connect_timeout(config.connect_timeout)
            .keepalives(true)
            .keepalives_idle(config.keepalive)
            .tcp_user_timeout(config.tcp_user_timeout);
        let parameters = session_parameters(config);
        match pooler {
            Pooler::None => {
                let (options, marker) = (startup_options(&parameters), pooler::SESSION_MARKER);
                session.options(format!("{options} -c {marker}=on"));
            }
            Pooler::Transaction => {
                transport = transport.through_pooler(TransactionStart::new(&parameters));
            }
        }
        Ok(Self {
            session: Arc::new(session),
            transport,
            url_key: key,
            pooler,
            slow_statement: config.slow_statement_threshold,
            connect_timeout: config.connect_timeout,
            statement_timeout: config.statement_timeout,
            runtime,
            open_sessions: OpenSessions::default(),
            budget: ConnectionBudget::new(config),
            metrics,
        })
    }

    /// Instruments the statements of a connection from now on. Returns the counter of those that
    /// run.
    pub(super) fn instrument_statements(
        &self,
        conn: &mut AsyncPgConnection,
    ) -> Arc<RunningStatements> {
        let running = Arc::<RunningStatements>::default();
        let slow_statement = self.slow_statement;
        conn.set_instrumentation(StatementInstrumentation::new(
            slow_statement,
            Arc::clone(&running),
        ));
        running
    }

    /// Opens a connection of a pool, as soon as the budget allows.
    pub(super) async fn open_pooled(&self) -> ConnectionResult<Session> {
        let open = async {
            let permit = self.budget.acquire().await;
            let session = self.open("pool").await?;
            if let Some(permit) = permit {
                self.runtime.spawn(permit.spend());
            }
            Ok(session)
        };
        let opened = timeout(self.connect_timeout, open).await;
        opened.unwrap_or_else(|_| Err(bad_connection("timed out while connecting")))
    }

    /// Opens one, or gives up after `database.connect_timeout`. So does the attempt
    /// itself then, as well as when who asked has left: a server that accepts and is
    /// silent would collect them, and let them all in at once when it wakes up.
    pub(super) async fn open(&self, purpose: &str) -> ConnectionResult<Session> {
        let connector = self.clone();
        self.metrics.count_opened(purpose);
        let open = async move {
            let errors = Arc::<SessionErrors>::default();
            let transport = connector.transport.for_session(Arc::clone(&errors));
            let conn = connect(&connector, transport).await?;
            connector.open_sessions.add(conn.cancel_token());
            Ok(Session { conn, errors })
        };
        let open = timeout(self.connect_timeout, open);
        match AbortOnDropHandle::new(self.runtime.spawn(open)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) => Err(bad_connection("timed out while connecting")),
            Err(_) => Err(bad_connection("the main runtime is shutting down")),
        }
    }
}

impl Connector {
    /// Opens a session without diesel, for the migration runner.
    pub(super) async fn open_client(&self) -> ConnectionResult<Client> {
        self.metrics.count_opened("dedicated");
        let opened = timeout(self.connect_timeout, connect_client(self)).await;
        let client = opened.map_err(|_| bad_connection("timed out while connecting"))??;
        self.open_sessions.add(client.cancel_token());
        Ok(client)
    }

    fn explain(&self, reason: String) -> ConnectionError {
        let explained = pooler::explain_rejection(&reason, self.url_key);
        ConnectionError::BadConnection(explained.unwrap_or(reason))
    }
}

fn bad_connection(reason: &str) -> ConnectionError {
    ConnectionError::BadConnection(reason.to_owned())
}

async fn connect(
    connector: &Connector,
    transport: Transport,
) -> ConnectionResult<AsyncPgConnection> {
    let opened = connector.session.connect(transport).await;
    let (client, driver) = opened.map_err(|error| connector.explain(with_cause(&error)))?;
    let prepared = AsyncPgConnection::try_from_client_and_connection(client, driver).await;
    prepared.map_err(|error| connector.explain(error.to_string()))
}

async fn connect_client(connector: &Connector) -> ConnectionResult<Client> {
    let opened = connector.session.connect(connector.transport.clone()).await;
    let (client, driver) = opened.map_err(|error| connector.explain(with_cause(&error)))?;
    // Ends with the client; an error of the connection is also that of the statement.
    connector.runtime.spawn(async move {
        let _ended = driver.await;
    });
    if pooler::lacks_session(&client).await {
        let reason = pooler::describe_pooler(connector.url_key);
        return Err(bad_connection(&reason));
    }
    Ok(client)
}

/// tokio-postgres says only "error connecting to server"; the reason is below it.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
