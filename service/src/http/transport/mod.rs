//! The transport of both listeners: from an accepted socket to requests.
//!
//! # Problem
//! A server framework trusts its clients below HTTP. actix-http limits the time for the head of a connection's first
//! request only, and the time to read a response not at all. It has no limits for HTTP/2 header lists and streams.
//! It responds to malformed heads without a metric, and logs an error for each. So one client without any rights can
//! occupy all connections, fill the memory, delay a shutdown, or fill the log.
//!
//! # How it works
//! [`listen`] builds the server of a listener. Each socket passes these steps:
//!
//! 1. [`Connections::admit`] counts the connection, or rejects it with 429 or 503.
//! 2. With TLS, the handshake takes at most `http.request_head_timeout`. It offers `http/1.1`, and `h2` if
//!    `http.http2` allows it.
//! 3. [`client_stream::ClientStream`] gives actix-http one request at a time. It knows the part of the exchange that
//!    the connection is in, from the bytes that pass ([`framing`]) and from the service around the application
//!    ([`exchange`]), and reports it to [`crate::limits::connections`], which closes connections that keep the service
//!    waiting.
//! 4. A response without a request is actix-http's rejection of a malformed head. It is counted, logged at most once a
//!    second, charged to the client, and replaced by a problem.
//!
//! # Pitfalls
//! - One segment may hold a complete request and half of the next head. The stream keeps the surplus until the response
//!   was written; otherwise it would lie in the parser's buffer without a deadline.
//! - The deadlines of actix-http for heads and idle connections are turned off. Two timers for one purpose contradict
//!   each other.
//! - Over HTTP/2, the stream sees frames and no requests. Only the deadlines for idle connections and for writing apply.
//!
//! # Tests
//! The tests of [`framing`]; `tests/api/http/connections.rs`; `tests/api/http/malformed_heads.rs`; the drills
//! `slow_heads`, `connections_of_one_client`, `client_that_does_not_read` and `hostile_framing`.

mod client_stream;
mod exchange;
mod framing;
mod rejection;
mod tracked_body;

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive, Protocol, Request};
use actix_service::{
    IntoServiceFactory, Service as _, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory,
    fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, ServiceResponse};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;

use crate::limits::connections::Connections;
use client_stream::{ClientStream, Transport};
use exchange::Exchange;
use rejection::RejectionResponse;
use tracked_body::TrackedBody;

/// ALPN name of HTTP/2 (RFC 9113, section 3.1).
const ALPN_HTTP2: &[u8] = b"h2";

/// Time to read and discard the rest of a request after an early response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes that the kernel keeps for a client beyond those in flight.
const UNSENT_BYTES: u32 = 128 * 1024;

/// A listener with the limits of its connections.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) tls: Option<ServerConfig>,
    pub(super) workers: usize,
    pub(super) connections: Connections,
}

/// Builds the server of a listener. It runs when it is polled. `application` is called once on each worker's thread.
///
/// # Errors
/// Returns an error if the listener can't be used.
pub(super) fn listen<A, S, B>(
    listener: Listener,
    application: impl Fn() -> A + Send + Clone + 'static,
) -> io::Result<Server>
where
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let address = listener.socket.local_addr()?;
    let admission = Admission {
        connections: listener.connections,
        tls: listener.tls.map(|tls| TlsAcceptor::from(Arc::new(tls))),
    };
    let server = Server::build()
        .workers(listener.workers)
        // The limit is `Connections`: a connection that waits to be accepted has no deadline.
        .max_concurrent_connections(usize::MAX)
        // The drain has a deadline of its own, see `lifecycle::shutdown`.
        .shutdown_timeout(u64::from(u32::MAX))
        .disable_signals();
    let shutdown = server.graceful_shutdown_signal();
    let factory = move || {
        let (shutdown, admission) = (shutdown.clone(), admission.clone());
        let application = map_config(application(), |()| AppConfig::default());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let shutdown = shutdown.clone();
                async move { shutdown.notified().await }
            })
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(LINGER_TIMEOUT)
            .local_addr(address)
            .on_connect_ext(|stream: &ClientStream, data| {
                data.insert(stream.exchange());
            })
            .finish(track_requests(application));
        let admit = fn_service(move |socket| {
            let admission = admission.clone();
            async move { admission.admit(socket).await.ok_or(()) }
        });
        admit.and_then(http.map_err(drop))
    };
    Ok(server.listen("http", listener.socket, factory)?.run())
}

/// Tells the exchange of each connection when a request begins and ends.
fn track_requests<S, B>(
    application: S,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = ServiceResponse<TrackedBody>,
    Error = actix_web::Error,
    InitError = (),
>
where
    S: ServiceFactory<
            Request,
            Config = (),
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    apply_fn_factory(
        application,
        |mut request: Request, application: &S::Service| {
            let exchange = request.conn_data::<Rc<Exchange>>().cloned();
            let guard = exchange.map(|exchange| exchange.begin(&mut request));
            let response = application.call(request);
            async move {
                let response = response.await?.map_into_boxed_body();
                Ok(response.map_body(|_, body| TrackedBody::new(body, guard)))
            }
        },
    )
}

/// The steps before the first byte of HTTP.
#[derive(Clone)]
struct Admission {
    connections: Connections,
    tls: Option<TlsAcceptor>,
}

type AdmittedConnection = (ClientStream, Protocol, Option<std::net::SocketAddr>);

impl Admission {
    async fn admit(self, socket: TcpStream) -> Option<AdmittedConnection> {
        let peer = socket.peer_addr().ok()?;
        let connection = match self.connections.admit(peer) {
            Ok(connection) => connection,
            Err(limit) if self.tls.is_none() => {
                let response = RejectionResponse::to_connection(limit);
                let _best_effort = SockRef::from(&socket).send(response.as_bytes());
                return None;
            }
            Err(_) => return None,
        };
        let _best_effort = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES);
        let (transport, protocol) = tokio::select! {
            opened = self.open_transport(socket) => opened?,
            () = connection.wait_for_close() => return None,
        };
        let is_http2 = protocol == Protocol::Http2;
        let stream = ClientStream::new(transport, Exchange::new(connection), is_http2);
        Some((stream, protocol, Some(peer)))
    }

    async fn open_transport(&self, socket: TcpStream) -> Option<(Transport, Protocol)> {
        let Some(tls) = &self.tls else {
            return Some((Either::Left(socket), Protocol::Http1));
        };
        let stream = tls.accept(socket).await.ok()?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(ALPN_HTTP2) => Protocol::Http2,
            _ => Protocol::Http1,
        };
        Some((Either::Right(Box::new(stream)), protocol))
    }
}
