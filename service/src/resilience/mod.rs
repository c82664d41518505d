//! General patterns for a world in which things fail, one a file.

pub mod backoff;
pub mod breaker;
mod breaker_state;
pub(crate) mod concurrency_limit;
pub mod deadline;
pub(crate) mod mutex;
pub mod retry;
pub(crate) mod single_flight;
mod sliding_window;
