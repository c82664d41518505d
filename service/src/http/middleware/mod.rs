//! What every request passes, from the outside in.

pub mod closing;
pub mod deadline;
pub mod known_methods;
pub mod panics;
pub mod problems;
pub mod rate_limit;
pub mod receive;
pub mod request_span;
pub mod security_headers;
pub mod shed;
