//! HTTP: framing, headers, errors, deadlines, load shedding, browser security, the OpenAPI document.

mod browser_security;
mod client_errors;
mod connections;
mod deadlines;
mod framing;
mod load_shedding;
mod malformed_heads;
mod openapi;
mod openapi_problems;
pub mod raw_request;
mod request_headers;
mod server_errors;
