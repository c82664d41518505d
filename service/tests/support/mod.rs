//! Support of all integration tests: each has its own service on its own database, real
//! HTTP, and no sleeps.
//!
//! Run them with `make test`: it starts the Postgres and the Redis that these
//! need. Set `ORDERLY_TEST_LOG=debug` to see the service's log.
#![expect(dead_code, reason = "each test binary uses a part of this")]

pub mod app;
pub mod cache;
pub mod certificates;
pub mod collector;
pub mod database;
pub mod event_stream;
pub mod eventually;
pub mod fault_proxy;
pub mod fixtures;
pub mod gateway;
pub mod invariants;
pub mod metric_series;
pub mod migrations;
pub mod pgbouncer;
pub mod process;
pub mod raw_connection;
pub mod redis_server;
pub mod redis_tls;
pub mod response;
pub mod service_process;
pub mod sql;
pub mod statement_log;
