//! What a server that stops still has to wait for.
//!
//! actix closes idle HTTP/1.1 connections itself. It never says `GOAWAY` (RFC 9113, section 6.8) to one of HTTP/2, so an
//! idle client would hold the drain to its deadline. Here is counted what is left, so that the drain can end when that
//! is nothing but idle HTTP/2. A client that goes on to send requests on one is answered, up to the deadline.
//!
//! See it break: `tests/api/tls/server.rs`, `idle_http2_client_does_not_delay_shutdown`.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;

/// Counts; clones count together.
#[derive(Clone, Default)]
pub(crate) struct ConnectionTracker(Arc<ConnectionCounts>);

#[derive(Default)]
struct ConnectionCounts {
    http1: AtomicUsize,
    http2: AtomicUsize,
    /// In flight, of HTTP/2 only.
    requests: AtomicUsize,
}

/// Is counted as long as it lives.
pub(super) struct CountGuard {
    counts: Arc<ConnectionCounts>,
    counter: fn(&ConnectionCounts) -> &AtomicUsize,
}

impl CountGuard {
    fn new(counts: &Arc<ConnectionCounts>, counter: fn(&ConnectionCounts) -> &AtomicUsize) -> Self {
        counter(counts).fetch_add(1, Ordering::Relaxed);
        Self {
            counts: Arc::clone(counts),
            counter,
        }
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        (self.counter)(&self.counts).fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConnectionTracker {
    /// For `HttpServer::on_connect`.
    pub(super) fn track_connection(&self, stream: &dyn Any, connection: &mut Extensions) {
        let is_http2 = stream
            .downcast_ref::<TlsStream<TcpStream>>()
            .is_some_and(|tls| tls.get_ref().1.alpn_protocol() == Some(b"h2"));
        connection.insert(match is_http2 {
            true => CountGuard::new(&self.0, |counts| &counts.http2),
            false => CountGuard::new(&self.0, |counts| &counts.http1),
        });
    }

    /// A request of HTTP/2, to be kept until it is answered.
    pub(super) fn track_http2_request(&self) -> CountGuard {
        CountGuard::new(&self.0, |counts| &counts.requests)
    }

    /// Waits until nothing is left but HTTP/2 without a request, and that for a second: the last answer may still be
    /// on its way out.
    pub(crate) async fn wait_until_only_idle_http2(&self) {
        const POLL_INTERVAL: Duration = Duration::from_millis(50);
        const REQUIRED_IDLE_POLLS: u32 = 20;
        let mut idle_polls = 0;
        while idle_polls < REQUIRED_IDLE_POLLS {
            tokio::time::sleep(POLL_INTERVAL).await;
            let [http1, http2, requests] = [&self.0.http1, &self.0.http2, &self.0.requests]
                .map(|count| count.load(Ordering::Relaxed));
            let is_idle = http1 == 0 && http2 > 0 && requests == 0;
            idle_polls = if is_idle { idle_polls + 1 } else { 0 };
        }
    }
}
