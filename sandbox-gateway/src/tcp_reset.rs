//! TCP resets from inside an HTTP handler.
//!
//! A normal close sends FIN, and the client reads an end of file. A crashed or overloaded peer sends
//! RST, and the client gets "connection reset by peer", possibly in the middle of a request. To send
//! RST on purpose, set `SO_LINGER` to zero, then close without a `shutdown` (socket(7), tcp(7)).
//!
//! A handler does not own its socket, so [`store_socket`] keeps a duplicate descriptor of each new
//! connection: a socket option set through the duplicate applies to the connection. A response body
//! that fails at its first poll makes actix drop the connection before it has written a byte. Actix
//! logs this as an error, which is expected here.

use std::any::Any;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use socket2::Socket;

struct SocketHandle(Socket);

/// Stores the socket of a new connection; for `HttpServer::on_connect`.
pub(crate) fn store_socket(connection: &dyn Any, extensions: &mut Extensions) {
    let duplicate = connection
        .downcast_ref::<TcpStream>()
        .map(|stream| stream.as_fd().try_clone_to_owned());
    if let Some(Ok(descriptor)) = duplicate {
        extensions.insert(SocketHandle(Socket::from(descriptor)));
    }
}

/// Returns a response that resets the connection instead of reaching the client.
pub(crate) fn reset_connection(request: &HttpRequest) -> HttpResponse {
    let linger_result = request
        .conn_data::<SocketHandle>()
        .map(|socket| socket.0.set_linger(Some(Duration::ZERO)));
    if !matches!(linger_result, Some(Ok(()))) {
        tracing::warn!("TCP reset failed, closing the connection");
    }
    let error = io::Error::from(io::ErrorKind::ConnectionReset);
    HttpResponse::Ok().streaming(stream::iter([Err::<Bytes, _>(error)]))
}
