//! HTTP: errors, deadlines, load shedding, browser security, the OpenAPI document.

mod browser_security;
mod client_errors;
mod deadlines;
mod load_shedding;
mod openapi;
mod openapi_problems;
mod server_errors;
