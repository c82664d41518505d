//! Coming up, changing, and going down.

pub mod config_watch;
pub mod readiness;
pub mod shutdown;
pub mod signals;
pub mod supervisor;
