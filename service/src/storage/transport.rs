//! The byte stream of a connection, with the two abilities that tokio-postgres lacks.
//!
//! # Problem
//!
//! - An error of the server has a code (SQLSTATE) and a message. diesel passes on the message
//!   only, and the message is in the language of the server (`lc_messages`): with German messages,
//!   a lock timeout looks like a bug.
//! - A cancellation is a message on a connection of its own, to which the server does not respond.
//!   tokio-postgres closes that connection immediately, so the cancellation may arrive late and
//!   end the next statement instead.
//!
//! # How it works
//!
//! tokio-postgres reads and writes through the stream that its TLS connector returns.
//! [`Transport`] is that connector. It wraps the stream, encrypted or not:
//!
//! - It writes the code in front of the message of each `ErrorResponse`, as `psql` does with
//!   `VERBOSITY=verbose`: `55P03: canceling statement due to lock timeout`.
//!   [`split_code`](super::error_response::split_code) reads it back. It also records the codes of
//!   each session, for the pool.
//! - Through a pooler, it rewrites both directions ([`super::pooler`]).
//! - For a cancellation, it closes only after the server has closed. The server closes after it
//!   has sent the signal to the session's process (PostgreSQL manual, "Canceling Requests in
//!   Progress"; libpq waits in the same way).
//!
//! # Pitfalls
//!
//! - tokio-postgres calls no TLS connector for `sslmode=disable`. [`Transport::configure`] selects
//!   `require` with `sslnegotiation=direct` instead, which sends no `SSLRequest`: the connector is
//!   called, and does not encrypt. The bytes on the wire are those of `disable`.
//! - tokio-postgres calls no TLS connector for a Unix socket either: errors have no code there.
//!
//! # Tests
//!
//! `adds_code_to_message_in_any_fragmentation` below, `lock_timeout_is_503_in_any_language` in
//! `tests/api/storage/server_errors.rs`, `late_cancellation_does_not_hit_next_statement` in
//! `tests/api/storage/abandoned_statements.rs`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::either::Either;

use super::error_response::ErrorResponseFilter;
use super::pooler::{PoolerProtocol, TransactionStart};
use super::sqlstate::SessionErrors;

/// Rewritten bytes that may wait to be sent before more are accepted.
const MAX_UNSENT: usize = 64 * 1024;

type RustlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type RustlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Connector of streams, with TLS or without.
#[derive(Clone)]
pub(super) struct Transport {
    tls: Option<MakeRustlsConnect>,
    errors: Arc<SessionErrors>,
    /// How transactions begin if a pooler is at the other end.
    pooler: Option<Arc<TransactionStart>>,
    /// Whether to close only after the server has closed.
    waits_for_server: bool,
}

impl Transport {
    /// Creates a connector that encrypts with `tls` if there is one.
    pub(super) fn new(tls: Option<MakeRustlsConnect>) -> Self {
        Self {
            tls,
            errors: Arc::default(),
            pooler: None,
            waits_for_server: false,
        }
    }

    /// Returns a connector for one session, whose errors it records in `errors`.
    pub(super) fn for_session(&self, errors: Arc<SessionErrors>) -> Self {
        Self {
            errors,
            ..self.clone()
        }
    }

    /// Returns the connector for a pooler, which begins transactions with `start`.
    pub(super) fn through_pooler(self, start: TransactionStart) -> Self {
        Self {
            pooler: Some(Arc::new(start)),
            ..self
        }
    }

    /// Returns a connector for cancellations.
    pub(super) fn for_cancellation(&self) -> Self {
        Self {
            tls: self.tls.clone(),
            errors: Arc::default(),
            pooler: None,
            waits_for_server: true,
        }
    }

    /// Has tokio-postgres call this connector also without TLS.
    pub(super) fn configure(&self, session: &mut tokio_postgres::Config) {
        let hosts = session.get_hosts();
        let is_tcp = !hosts.is_empty() && hosts.iter().all(|host| matches!(host, Host::Tcp(_)));
        if self.tls.is_none() && is_tcp {
            session
                .ssl_mode(SslMode::Require)
                .ssl_negotiation(SslNegotiation::Direct);
        }
    }
}

impl MakeTlsConnect<Socket> for Transport {
    type Stream = TransportStream;
    type TlsConnect = StreamConnector;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn make_tls_connect(&mut self, domain: &str) -> Result<StreamConnector, Self::Error> {
        let tls = match &mut self.tls {
            Some(tls) => Some(MakeTlsConnect::<Socket>::make_tls_connect(tls, domain)?),
            None => None,
        };
        Ok(StreamConnector {
            tls,
            errors: Arc::clone(&self.errors),
            pooler: self.pooler.clone().map(PoolerProtocol::new),
            waits_for_server: self.waits_for_server,
        })
    }
}

/// Connector of one stream.
pub(super) struct StreamConnector {
    tls: Option<RustlsConnect>,
    errors: Arc<SessionErrors>,
    pooler: Option<PoolerProtocol>,
    waits_for_server: bool,
}

impl TlsConnect<Socket> for StreamConnector {
    type Stream = TransportStream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TransportStream>>;

    fn connect(self, socket: Socket) -> Self::Future {
        async move {
            let inner = match self.tls {
                Some(tls) => Either::Right(tls.connect(socket).await?),
                None => Either::Left(socket),
            };
            Ok(TransportStream {
                inner,
                filter: ErrorResponseFilter::new(self.errors),
                pooler: self.pooler,
                unsent: Vec::new(),
                pending: Vec::new(),
                delivered: 0,
                waits_for_server: self.waits_for_server,
            })
        }
        .boxed()
    }
}

/// Stream between tokio-postgres and the socket.
pub(super) struct TransportStream {
    inner: Either<Socket, RustlsStream>,
    pooler: Option<PoolerProtocol>,
    /// Rewritten bytes for the pooler.
    unsent: Vec<u8>,
    filter: ErrorResponseFilter,
    /// Bytes that passed the filter, the first `delivered` of which were read.
    pending: Vec<u8>,
    delivered: usize,
    waits_for_server: bool,
}

impl TransportStream {
    /// Writes what is rewritten.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        while let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.inner).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => sent += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.unsent.drain(..sent);
                    return Poll::Pending;
                }
            }
        }
        self.unsent.clear();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TransportStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let undelivered = this.pending.get(this.delivered..).unwrap_or_default();
            if !undelivered.is_empty() {
                let length = undelivered.len().min(buffer.remaining());
                buffer.put_slice(undelivered.get(..length).unwrap_or_default());
                this.delivered += length;
                return Poll::Ready(Ok(()));
            }
            this.pending.clear();
            this.delivered = 0;

            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
            let received = buffer.filled().get(before..).unwrap_or_default();
            if received.is_empty() {
                this.filter.finish(&mut this.pending);
                if this.pending.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            } else {
                match &mut this.pooler {
                    Some(pooler) => {
                        let rewritten = pooler.rewrite_responses(received);
                        this.filter.push(&rewritten, &mut this.pending);
                    }
                    None => this.filter.push(received, &mut this.pending),
                }
                buffer.set_filled(before);
            }
        }
    }
}

impl AsyncWrite for TransportStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.unsent.len() > MAX_UNSENT {
            ready!(this.poll_send(context))?;
        }
        match &mut this.pooler {
            Some(pooler) => {
                pooler.rewrite_requests(bytes, &mut this.unsent);
                Poll::Ready(Ok(bytes.len()))
            }
            None => Pin::new(&mut this.inner).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        // The wait comes first: PgBouncer before 1.19 drops a cancellation whose sender has shut down.
        ready!(Pin::new(&mut this.inner).poll_flush(context))?;
        while this.waits_for_server {
            let mut buffer = [0; 64];
            let mut buffer = ReadBuf::new(&mut buffer);
            // A reset or a missing `close_notify` is an end as well.
            let read = ready!(Pin::new(&mut this.inner).poll_read(context, &mut buffer));
            this.waits_for_server = read.is_ok() && !buffer.filled().is_empty();
        }
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

impl TlsStream for TransportStream {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.inner {
            Either::Left(_) => ChannelBinding::none(),
            Either::Right(tls) => tls.channel_binding(),
        }
    }
}
