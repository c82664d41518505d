//! Opens connections to Postgres.

use std::sync::Arc;
use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use super::open_sessions::OpenSessions;
use super::statement_instrumentation::StatementInstrumentation;
use crate::config::{DatabaseConfig, SslMode, variable_name};
use crate::tls;

/// Opens connections, always on the main runtime.
#[derive(Clone)]
pub(super) struct Connector {
    session: Arc<tokio_postgres::Config>,
    pub(super) tls: Option<MakeRustlsConnect>,
    slow_statement: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) runtime: Handle,
    pub(super) open_sessions: OpenSessions,
}

impl Connector {
    pub(super) fn new(url: &str, config: &DatabaseConfig, runtime: Handle) -> anyhow::Result<Self> {
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
            runtime,
            open_sessions: OpenSessions::default(),
        })
    }

    /// Instruments the statements of a connection from now on.
    pub(super) fn instrument_statements(&self, conn: &mut AsyncPgConnection) {
        conn.set_instrumentation(StatementInstrumentation::new(self.slow_statement));
    }

    /// Opens one, or gives up after `database.connect_timeout`. So does the attempt
    /// itself then, as well as when who asked has left: a server that accepts and is
    /// silent would collect them, and let them all in at once when it wakes up.
    pub(super) async fn open(&self) -> ConnectionResult<AsyncPgConnection> {
        let connector = self.clone();
        let open = async move {
            let conn = match connector.tls {
                Some(tls) => connect(&connector.session, tls).await,
                None => connect(&connector.session, NoTls).await,
            }?;
            connector.open_sessions.add(conn.cancel_token());
            Ok(conn)
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
    /// Opens a session without diesel, which passes on no SQLSTATE.
    pub(super) async fn open_client(&self) -> ConnectionResult<Client> {
        let open = async {
            match &self.tls {
                Some(tls) => connect_client(&self.session, tls.clone(), &self.runtime).await,
                None => connect_client(&self.session, NoTls, &self.runtime).await,
            }
        };
        let opened = timeout(self.connect_timeout, open).await;
        let client = opened.map_err(|_| bad_connection("timed out while connecting"))??;
        self.open_sessions.add(client.cancel_token());
        Ok(client)
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

async fn connect_client<T>(
    session: &tokio_postgres::Config,
    tls: T,
    runtime: &Handle,
) -> ConnectionResult<Client>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, driver) = (session.connect(tls).await)
        .map_err(|error| ConnectionError::BadConnection(with_cause(&error)))?;
    // Ends with the client; an error of the connection is also that of the statement.
    runtime.spawn(async move {
        let _ended = driver.await;
    });
    Ok(client)
}

/// tokio-postgres says only "error connecting to server"; the reason is below it.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
