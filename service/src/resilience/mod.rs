//! General patterns for a world in which things fail, one a file.

pub mod backoff;
pub mod breaker;
mod breaker_state;
pub mod deadline;
pub mod in_flight;
pub mod retry;
pub mod single_flight;
mod window;
