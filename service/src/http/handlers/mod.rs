//! The handlers: extract, call a use case, map the answer.

pub mod orders;
pub mod products;
pub mod sessions;
pub mod users;
