//! The handlers: extract, call a use case, map the answer.

pub(super) mod orders;
pub(super) mod products;
pub(super) mod sessions;
pub(super) mod users;
