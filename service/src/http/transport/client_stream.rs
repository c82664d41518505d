//! The stream between a client's connection and actix-http.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::exchange::Exchange;
use super::framing::FramingError;
use super::rejection::RejectionResponse;
use crate::limits::connections::{ConnectionState, RejectedHead};

/// Bytes of further requests that are read while one is being handled. Reading them notices a client that closes the
/// connection.
const READ_AHEAD_BYTES: usize = 4096;

/// Bytes of a rejected request that are read and thrown away. A socket with unread bytes would be reset when it is
/// closed, and the client would lose the response.
const DISCARDED_BYTES: usize = 256 * 1024;

/// A connection, with TLS or without.
pub(super) type Transport = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The stream of one connection, with the limits of [`super`].
pub(super) struct ClientStream {
    transport: Transport,
    exchange: Rc<Exchange>,
    is_http2: bool,
    /// Bytes of the next requests, which actix-http must not see yet.
    read_ahead: Vec<u8>,
    /// Whether the client has sent its last byte.
    is_at_end: bool,
    is_rejected: bool,
    discarded: usize,
}

impl ClientStream {
    pub(super) fn new(transport: Transport, exchange: Exchange, is_http2: bool) -> Self {
        Self {
            transport,
            exchange: Rc::new(exchange),
            is_http2,
            read_ahead: Vec::new(),
            is_at_end: false,
            is_rejected: false,
            discarded: 0,
        }
    }

    pub(super) fn exchange(&self) -> Rc<Exchange> {
        Rc::clone(&self.exchange)
    }

    /// Passes on what belongs to the current request, and keeps the rest.
    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        if !self.read_ahead.is_empty() {
            let length = self.read_ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.read_ahead[..length]);
            self.read_ahead.drain(..length);
        } else if !self.is_at_end {
            ready!(Pin::new(&mut self.transport).poll_read(cx, buffer))?;
        }
        let received = &buffer.filled()[start..];
        self.is_at_end |= received.is_empty();
        let taken = match self.exchange.take(received) {
            Ok(taken) => taken,
            Err(FramingError::HeadTooLarge) => {
                buffer.set_filled(start);
                self.reject(cx, RejectedHead::TooLarge);
                return self.poll_rejected(cx).map(Err);
            }
            // actix-http closes a connection whose body has invalid chunks, without a response. If the body ends
            // instead, the handler rejects the request.
            Err(FramingError::InvalidChunk) => {
                self.is_at_end = true;
                0
            }
        };
        if !self.is_at_end {
            self.read_ahead
                .splice(..0, received[taken..].iter().copied());
        }
        buffer.set_filled(start + taken);
        Poll::Ready(Ok(()))
    }

    /// Reads further requests while one is being handled; notices the end of the connection.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut bytes = [0; 1024];
        while !self.is_at_end && self.read_ahead.len() < READ_AHEAD_BYTES {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.transport).poll_read(cx, &mut buffer)? {
                Poll::Ready(()) if buffer.filled().is_empty() => self.is_at_end = true,
                Poll::Ready(()) => self.read_ahead.extend_from_slice(buffer.filled()),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Ends a connection that waits for its client for too long.
    fn close(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.exchange.connection.state() {
            ConnectionState::Head if self.exchange.has_partial_head() && !self.is_http2 => {
                self.reject(cx, RejectedHead::Timeout);
                Err(io::ErrorKind::TimedOut.into())
            }
            ConnectionState::Response => Err(self.abort()),
            ConnectionState::Idle | ConnectionState::Head if !self.is_at_end => {
                // The end of the stream: actix-http closes the connection.
                self.read_ahead.clear();
                self.is_at_end = true;
                self.exchange.connection.enter(ConnectionState::Head);
                Ok(())
            }
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Responds to a request head that is no request, as far as that is possible without waiting.
    fn reject(&mut self, cx: &mut Context<'_>, reason: RejectedHead) {
        self.is_rejected = true;
        let response = RejectionResponse::to_head(reason);
        (self.exchange.connection).record_rejected_head(reason, response.status());
        let mut transport = Pin::new(&mut self.transport);
        let _best_effort = transport.as_mut().poll_write(cx, response.as_bytes());
        let _best_effort = transport.as_mut().poll_flush(cx);
        let _best_effort = transport.poll_shutdown(cx);
        self.exchange.connection.enter(ConnectionState::Head);
    }

    /// Reads the rest of a rejected request, until the client closes the connection, has sent too much or takes too
    /// long. Returns an error of the stream, since actix-http logs a head that it rejects as an error of the service.
    fn poll_rejected(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut bytes = [0; 8192];
        while self.discarded < DISCARDED_BYTES && !self.must_close(cx) {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.discarded += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(io::ErrorKind::ConnectionAborted.into())
    }

    /// Gives up a client that does not read. Without the reset, the kernel keeps the bytes for minutes.
    fn abort(&self) -> io::Error {
        let socket = match &self.transport {
            Either::Left(socket) => socket,
            Either::Right(tls) => tls.get_ref().0,
        };
        let _best_effort = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        io::ErrorKind::TimedOut.into()
    }

    fn must_close(&self, cx: &Context<'_>) -> bool {
        self.exchange.connection.must_close(cx.waker())
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_rejected {
            return this.poll_rejected(cx).map(Err);
        }
        if this.must_close(cx) {
            return Poll::Ready(this.close(cx));
        }
        if this.is_http2 {
            return match this.is_at_end {
                true => Poll::Ready(Ok(())),
                false => Pin::new(&mut this.transport).poll_read(cx, buffer),
            };
        }
        if this.exchange.expects_input() {
            return this.poll_request(cx, buffer);
        }
        this.poll_read_ahead(cx)?;
        Poll::Pending
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.is_rejected && !this.is_http2 && this.exchange.has_no_request() {
            // actix-http responds to a head that it rejects. This response replaces its own.
            let is_too_large = bytes.starts_with(b"HTTP/1.1 431 ");
            let reason = match is_too_large {
                true => RejectedHead::TooLarge,
                false => RejectedHead::Malformed,
            };
            this.reject(cx, reason);
        }
        if this.is_rejected {
            return this.poll_rejected(cx).map(Err);
        }
        if this.must_close(cx) && this.exchange.connection.state() == ConnectionState::Response {
            return Poll::Ready(Err(this.abort()));
        }
        let written = Pin::new(&mut this.transport).poll_write(cx, bytes);
        match &written {
            Poll::Pending => this.exchange.block_write(),
            Poll::Ready(_) => this.exchange.advance_write(),
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.must_close(cx) && this.exchange.connection.state() == ConnectionState::Response {
            return Poll::Ready(Err(this.abort()));
        }
        let flushed = Pin::new(&mut this.transport).poll_flush(cx);
        match &flushed {
            Poll::Pending => this.exchange.block_write(),
            Poll::Ready(_) => {
                let expects_next = this.exchange.finish_write();
                if expects_next && (this.is_at_end || !this.read_ahead.is_empty()) {
                    cx.waker().wake_by_ref();
                }
            }
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.must_close(cx) {
            return Poll::Ready(Err(this.abort()));
        }
        let closed = Pin::new(&mut this.transport).poll_shutdown(cx);
        if closed.is_pending() {
            this.exchange.block_write();
        }
        closed
    }
}
