//! Orders: placement, status changes, rejections, idempotency, concurrency and events.

mod events;
mod idempotency;
mod idempotency_in_progress;
mod lifecycle;
mod listing;
mod races;
mod rejections;
