//! Cancels the statement that a dropped connection still runs, and closes the connection.

use diesel::connection::InstrumentationEvent;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::time::timeout;
use tokio_postgres::{CancelToken, NoTls};

use super::connector::Connector;

impl Connector {
    /// Asks the server to cancel what runs on `conn`, then closes it, both in the background.
    pub(super) fn abandon(&self, mut conn: AsyncPgConnection) {
        // The instrumentation logs here what still ran: later the request is not known.
        conn.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        let token = conn.cancel_token();
        let connector = self.clone();
        self.runtime.spawn(async move {
            connector.cancel(&token).await;
            drop(conn);
        });
    }

    /// Over a connection of its own, protected like the one whose statement it cancels.
    /// A TLS handshake with a server that is silent would never end: these would pile up,
    /// each with the connection that it is about.
    pub(super) async fn cancel(&self, token: &CancelToken) {
        let cancel = async {
            match &self.tls {
                Some(tls) => token.cancel_query(tls.clone()).await,
                None => token.cancel_query(NoTls).await,
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
}
