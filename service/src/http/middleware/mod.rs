//! What every request passes, from the outside in.

pub(crate) mod body_buffering;
pub(crate) mod connection_close;
pub(crate) mod deadline;
pub(crate) mod load_shedding;
pub(crate) mod method_normalization;
pub(crate) mod panics;
pub(crate) mod problems;
pub(crate) mod rate_limit;
pub(crate) mod request_span;
pub(crate) mod security_headers;
