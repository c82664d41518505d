//! What every request passes, from the outside in.

pub mod problems;
pub mod request_span;
