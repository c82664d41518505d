//! Coming up and going down.

pub mod readiness;
pub mod signals;
