//! How far the service is: whether a load balancer should send requests here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum LifecycleState {
    /// Not everything is up.
    Starting,
    /// It does its work.
    Ready,
    /// The end has begun.
    Stopping,
}

/// The current [`LifecycleState`]. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<AtomicU8>);

impl Readiness {
    pub(crate) fn mark_ready(&self) {
        self.0.store(LifecycleState::Ready as u8, Ordering::Release);
    }

    pub(crate) fn mark_stopping(&self) {
        self.0
            .store(LifecycleState::Stopping as u8, Ordering::Release);
    }

    pub(crate) fn state(&self) -> LifecycleState {
        match self.0.load(Ordering::Acquire) {
            0 => LifecycleState::Starting,
            1 => LifecycleState::Ready,
            _ => LifecycleState::Stopping,
        }
    }
}
