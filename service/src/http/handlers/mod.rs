//! The handlers: extract, call a use case, map the answer.

pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod sessions;
pub(crate) mod users;
