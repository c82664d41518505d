//! The first way in: requests.
//!
//! A request passes `middleware/`, is taken apart by `extract/` and `wire/`,
//! handed to a use case by a handler, and answered. A handler is thin: extract,
//! call, map. Status codes are known here and nowhere else (`error.rs`).

pub(crate) mod admin;
mod client_address;
mod cors;
mod endpoint;
mod error;
mod extract;
mod handlers;
mod middleware;
pub mod openapi;
pub mod problem;
mod rate_limit_headers;
pub(crate) mod request_metrics;
mod resource;
mod routes;
pub(crate) mod server;
mod transport;
mod wire;
