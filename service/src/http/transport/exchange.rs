//! The exchange of a connection: what the client is expected to send next, and what it still has to read.
//!
//! The stream below actix-http and the service above it share one [`Exchange`] for each connection. Both run on the
//! thread of the same worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use actix_http::header::{CONTENT_LENGTH, UPGRADE};
use actix_http::{HttpMessage as _, Payload, Request, Version};

use super::framing::{BodyScanner, FramingError, HeadScanner};
use crate::limits::connections::{Connection, ConnectionState};

/// What the client is expected to send.
enum Expected {
    /// A request head, or the rest of one.
    Head(HeadScanner),
    /// The rest of a request body.
    Body(BodyScanner),
    /// Nothing: a whole request is here.
    Nothing,
}

/// The exchange of one connection.
pub(super) struct Exchange {
    pub(super) connection: Connection,
    expected: RefCell<Expected>,
    /// Requests being handled; over HTTP/1.1 at most one.
    in_flight: Cell<usize>,
    /// Whether a request was begun whose response was not written completely.
    is_response_due: Cell<bool>,
    /// Whether the client does not read.
    is_write_blocked: Cell<bool>,
    /// Whether there was no request yet.
    is_new: Cell<bool>,
}

impl Exchange {
    pub(super) fn new(connection: Connection) -> Self {
        let exchange = Self {
            connection,
            expected: RefCell::new(Expected::Head(HeadScanner::default())),
            in_flight: Cell::new(0),
            is_response_due: Cell::new(false),
            is_write_blocked: Cell::new(false),
            is_new: Cell::new(true),
        };
        exchange.connection.enter(ConnectionState::Head);
        exchange
    }

    /// Returns `true` if the client may send more of the current request, or the next one.
    pub(super) fn expects_input(&self) -> bool {
        !matches!(*self.expected.borrow(), Expected::Nothing)
    }

    /// Returns `true` if a request head has begun and is not complete.
    pub(super) fn has_partial_head(&self) -> bool {
        matches!(&*self.expected.borrow(), Expected::Head(head) if head.has_started())
    }

    /// Returns `true` if a response that is written now responds to no request.
    pub(super) fn has_no_request(&self) -> bool {
        !self.is_response_due.get()
    }

    /// Reads what the client sent, and returns the number of bytes that belong to the current request.
    ///
    /// # Errors
    /// Returns an error if the message breaks its framing.
    pub(super) fn take(&self, bytes: &[u8]) -> Result<usize, FramingError> {
        let mut expected = self.expected.borrow_mut();
        let (end, is_over) = match &mut *expected {
            Expected::Nothing => return Ok(0),
            // A request that is complete is followed by none before it was responded to: it may be rejected.
            Expected::Head(head) => (head.find_end(bytes)?, false),
            Expected::Body(body) => (body.find_end(bytes)?, !self.is_response_due.get()),
        };
        if end.is_some() {
            *expected = match is_over {
                true => Expected::Head(HeadScanner::default()),
                false => Expected::Nothing,
            };
        }
        drop(expected);
        self.report_state();
        Ok(end.unwrap_or(bytes.len()))
    }

    /// Records the start of a request; it ends with the guard.
    pub(super) fn begin(self: &Rc<Self>, request: &mut Request) -> RequestGuard {
        self.is_new.set(false);
        self.in_flight.set(self.in_flight.get() + 1);
        if request.version() != Version::HTTP_2 {
            self.is_response_due.set(true);
            if let Some(body) = body_of(request) {
                self.expected.replace(Expected::Body(body));
                // The body may be here already.
                self.connection.wake();
            }
        }
        self.report_state();
        RequestGuard(Rc::clone(self))
    }

    /// Records that everything was written. Returns `true` if the next request may be read from now on.
    pub(super) fn finish_write(&self) -> bool {
        self.is_write_blocked.set(false);
        let is_over = self.in_flight.get() == 0 && self.is_response_due.replace(false);
        let expects_next = is_over && !self.expects_input();
        if expects_next {
            self.expected
                .replace(Expected::Head(HeadScanner::default()));
        }
        self.report_state();
        expects_next
    }

    /// Records that bytes wait because the client does not read.
    pub(super) fn block_write(&self) {
        self.is_write_blocked.set(true);
        self.report_state();
    }

    /// Records that the client took some bytes.
    pub(super) fn advance_write(&self) {
        if self.is_write_blocked.get() {
            self.connection.enter(ConnectionState::Response);
        }
    }

    fn report_state(&self) {
        let state = match &*self.expected.borrow() {
            _ if self.is_write_blocked.get() => ConnectionState::Response,
            Expected::Body(_) if self.in_flight.get() > 0 => ConnectionState::Body,
            _ if self.in_flight.get() > 0 || self.is_response_due.get() => ConnectionState::Request,
            Expected::Head(head) if !head.has_started() && !self.is_new.get() => {
                ConnectionState::Idle
            }
            // Also the rest of a body that no handler waits for, and a head that is complete and not parsed.
            _ => ConnectionState::Head,
        };
        if state != self.connection.state() {
            self.connection.enter(state);
        }
    }
}

/// A request that is being handled for as long as this lives.
pub(super) struct RequestGuard(Rc<Exchange>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let exchange = &self.0;
        exchange.in_flight.set(exchange.in_flight.get() - 1);
        exchange.report_state();
    }
}

/// Returns the framing that the parser of actix-http derived from the head; `None` for a request without a body.
fn body_of(request: &mut Request) -> Option<BodyScanner> {
    if matches!(request.payload(), Payload::None) {
        return None;
    }
    let headers = &request.head().headers;
    let mut upgrades = headers.get_all(UPGRADE);
    let is_upgrade = upgrades.any(|it| {
        it.as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"websocket")
    });
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|it| it.to_str().ok()?.trim().parse().ok());
    Some(match length {
        _ if request.chunked().unwrap_or(false) => BodyScanner::chunked(),
        Some(length) if !is_upgrade => BodyScanner::Length(length),
        _ => BodyScanner::UntilClose,
    })
}
