//! A real TCP reset, from inside an HTTP handler.
//!
//! Closing a socket politely sends FIN, and the client reads an end of file. A
//! crashed or overloaded peer sends RST, and the client gets "connection reset by
//! peer", possibly in the middle of a request. To send RST on purpose, set
//! `SO_LINGER` to zero, then close without a `shutdown` (socket(7), tcp(7)).
//!
//! A handler does not own its socket. So [`store_socket`] puts a duplicate descriptor
//! beside each new connection: a socket option set through the duplicate holds for
//! the connection. And a response body that fails at its first poll makes actix drop
//! the connection before it has written a byte. (Actix logs this as an error; here it
//! is the point.)

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

/// For `HttpServer::on_connect`.
pub(super) fn store_socket(connection: &dyn Any, extensions: &mut Extensions) {
    let duplicate = connection
        .downcast_ref::<TcpStream>()
        .map(|stream| stream.as_fd().try_clone_to_owned());
    if let Some(Ok(descriptor)) = duplicate {
        extensions.insert(SocketHandle(Socket::from(descriptor)));
    }
}

/// A response that never reaches the client: its connection is reset instead.
pub(super) fn reset_connection(request: &HttpRequest) -> HttpResponse {
    let linger_result = request
        .conn_data::<SocketHandle>()
        .map(|socket| socket.0.set_linger(Some(Duration::ZERO)));
    if !matches!(linger_result, Some(Ok(()))) {
        tracing::warn!("cannot reset the connection; closing it");
    }
    let error = io::Error::from(io::ErrorKind::ConnectionReset);
    HttpResponse::Ok().streaming(stream::iter([Err::<Bytes, _>(error)]))
}
