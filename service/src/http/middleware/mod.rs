//! What every request passes, from the outside in.

pub(crate) mod closing;
pub(crate) mod deadline;
pub(crate) mod known_methods;
pub(crate) mod panics;
pub(crate) mod problems;
pub(crate) mod rate_limit;
pub(crate) mod body_buffering;
pub(crate) mod request_span;
pub(crate) mod security_headers;
pub(crate) mod shed;
