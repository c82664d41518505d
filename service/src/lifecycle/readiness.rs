//! Whether a load balancer should send requests here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// False while the service starts and as soon as it begins to stop. Clones are
/// the same flag.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Everything is up.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// The end has begun.
    pub fn end(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether to send requests.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
