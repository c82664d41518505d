//! One connection of a client, and the state that it reports.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use futures_util::task::AtomicWaker;
use ipnet::IpNet;

use super::{Connections, REJECTED_HEAD_PENALTY, RejectedHead};
use crate::resilience::mutex::lock;

/// The part of an exchange that a connection is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ConnectionState {
    /// Waits for the first byte of the next request.
    Idle,
    /// Waits for the rest of a request head, or for the first request.
    Head,
    /// Waits for the rest of a request body.
    Body,
    /// The request is being handled.
    Request,
    /// Waits until the client reads its response.
    Response,
}

impl ConnectionState {
    pub(super) const ALL: [Self; 5] = [
        Self::Idle,
        Self::Head,
        Self::Body,
        Self::Request,
        Self::Response,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::Body => "body",
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// The part of a connection that other threads see.
pub(super) struct SharedState {
    state: AtomicU8,
    /// Start of the state, in milliseconds since the listener's.
    since_ms: AtomicU64,
    is_closing: AtomicBool,
    task: AtomicWaker,
}

impl SharedState {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU8::new(ConnectionState::Head as u8),
            since_ms: AtomicU64::new(u64::MAX),
            is_closing: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    pub(super) fn state(&self) -> ConnectionState {
        let state = usize::from(self.state.load(Ordering::Acquire));
        ConnectionState::ALL[state]
    }

    pub(super) fn since_ms(&self) -> u64 {
        self.since_ms.load(Ordering::Relaxed)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    /// Asks the task of the connection to close it. A connection that changes its state first stays open.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// A connection that is counted for as long as this lives.
pub(crate) struct Connection {
    connections: Connections,
    id: u64,
    shared: Arc<SharedState>,
    peer: SocketAddr,
    /// Networks against which the connection is counted, with their shares.
    networks: Vec<(IpNet, u32)>,
    has_rejected_head: AtomicBool,
}

impl Connection {
    pub(super) fn new(
        connections: Connections,
        id: u64,
        shared: Arc<SharedState>,
        peer: SocketAddr,
        networks: Vec<(IpNet, u32)>,
    ) -> Self {
        Self {
            connections,
            id,
            shared,
            peer,
            networks,
            has_rejected_head: AtomicBool::new(false),
        }
    }

    /// Reports that `state` begins now, with its whole deadline.
    pub(crate) fn enter(&self, state: ConnectionState) {
        let now_ms = self.connections.now_ms();
        self.shared.since_ms.store(now_ms, Ordering::Relaxed);
        self.shared.state.store(state as u8, Ordering::Release);
        self.shared.is_closing.store(false, Ordering::Relaxed);
    }

    /// Returns the state that was entered last.
    pub(crate) fn state(&self) -> ConnectionState {
        self.shared.state()
    }

    /// Returns `true` if the deadline of the state is over or the connection makes room for another. If not, wakes
    /// `task` when it is.
    pub(crate) fn must_close(&self, task: &Waker) -> bool {
        self.shared.task.register(task);
        self.shared.is_closing()
    }

    /// Waits until [`Self::must_close`] returns `true`.
    pub(crate) async fn wait_for_close(&self) {
        poll_fn(|cx| match self.must_close(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Wakes the task that [`Self::must_close`] registered.
    pub(crate) fn wake(&self) {
        self.shared.task.wake();
    }

    /// Counts and logs a request head that was rejected, and charges it to the client.
    pub(crate) fn record_rejected_head(&self, reason: RejectedHead, status: u16) {
        self.has_rejected_head.store(true, Ordering::Relaxed);
        (self.connections).record_rejected_head(reason, status, self.peer);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let penalty_until_ms = (self.has_rejected_head.load(Ordering::Relaxed))
            .then(|| self.connections.now_ms() + super::as_ms(REJECTED_HEAD_PENALTY));
        let networks = std::mem::take(&mut self.networks);
        lock(&self.connections.0.table).remove(self.id, networks, penalty_until_ms);
    }
}
