//! Orderly: a reference user/order microservice.
//!
//! The modules form layers, and a file imports only from layers below its own
//! (`tests/consistency/architecture/mod.rs` enforces it). Read them from the bottom up:
//!
//! | layer | modules | what lives there |
//! |---|---|---|
//! | 0 | [`domain`] | the business: pure, no I/O |
//! | 1 | [`config`], [`telemetry`], [`resilience`], [`lifecycle`], [`redis_client`], [`tls`] | what every service needs |
//! | 2 | [`storage`], [`cache`], [`limits`], [`payments`], [`events`], [`secrets`] | the external systems |
//! | 3 | [`usecases`], [`health`] | one use case a file; they own the transaction. How the service is |
//! | 4 | [`http`], [`jobs`] | the two ways in |
//! | 5 | [`app`] | puts it all together |
//! | 6 | [`cli`] | the command line |
//!
//! To follow one order, start at `http::routes` and walk down.

pub mod app;
pub mod cache;
pub mod cli;
pub mod config;
pub mod domain;
pub mod events;
pub mod health;
pub mod http;
pub mod jobs;
pub mod lifecycle;
pub mod limits;
pub mod payments;
pub mod redis_client;
pub mod resilience;
pub mod secrets;
pub mod storage;
pub mod telemetry;
pub mod tls;
pub mod usecases;
