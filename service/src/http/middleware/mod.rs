//! What every request passes, from the outside in.

pub(super) mod body_buffering;
pub(super) mod connection_close;
pub(super) mod deadline;
pub(super) mod load_shedding;
pub(super) mod method_normalization;
pub(super) mod panics;
pub(super) mod problems;
pub(super) mod rate_limit;
pub(super) mod request_head;
pub(super) mod request_span;
pub(super) mod security_headers;
