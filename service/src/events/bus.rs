//! The bus inside the process: where events go when there is no Redis.

use tokio::sync::broadcast;

use crate::domain::event::OrderEvent;

/// How many events a slow listener may be behind before it loses the oldest.
const CHANNEL_CAPACITY: usize = 1024;

/// Passes events to whoever listens in this process. Clones share the listeners.
#[derive(Clone)]
pub struct InProcessBus(broadcast::Sender<OrderEvent>);

impl Default for InProcessBus {
    fn default() -> Self {
        Self(broadcast::Sender::new(CHANNEL_CAPACITY))
    }
}

impl InProcessBus {
    /// Passes `events` on; without a listener they are gone, which is what "no
    /// Redis" means.
    pub(crate) fn publish(&self, events: &[OrderEvent]) {
        for event in events {
            tracing::debug!(kind = event.kind, order_id = %event.order_id, "event");
            let _no_receivers = self.0.send(event.clone());
        }
    }

    /// Listens to what is published from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<OrderEvent> {
        self.0.subscribe()
    }
}
