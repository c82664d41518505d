//! Coming up, changing, and going down.

pub(crate) mod config_watcher;
pub(crate) mod readiness;
pub(crate) mod shutdown;
pub(crate) mod signals;
pub(crate) mod supervisor;
