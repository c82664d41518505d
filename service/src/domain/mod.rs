//! The business, and nothing else: values, rules and the order state machine.
//!
//! Nothing here does I/O, knows a framework or reads the clock: the time is
//! passed in. A value of one of these types has been checked when it was made
//! ("parse, don't validate"), so the layers above never check it again. What
//! must never be false even if this code is wrong stands a second time as a
//! named constraint in `migrations/`.
//!
//! Watch it break: the property tests beside each type (`cargo test --lib domain`).

pub mod basket;
pub mod event;
pub mod idempotency;
pub mod ids;
pub(crate) mod money;
pub mod order;
pub mod order_status;
pub mod page;
pub mod password;
pub(crate) mod product;
pub(crate) mod text;
pub mod user;
pub mod validation;
