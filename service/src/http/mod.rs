//! The first way in: requests.
//!
//! A request passes `middleware/`, is taken apart by `extract/` and `wire/`,
//! handed to a use case by a handler, and answered. A handler is thin: extract,
//! call, map. Status codes are known here and nowhere else ([`error`]).

pub mod admin;
pub mod client_address;
pub mod connections;
mod cors;
pub mod error;
pub mod extract;
pub mod handlers;
pub mod middleware;
pub mod openapi;
pub mod problem;
pub mod quota;
pub mod routes;
pub mod server;
pub mod wire;
