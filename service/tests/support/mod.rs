//! What every test of behaviour stands on: a service of its own on a database of
//! its own, real HTTP, and no sleeps.
//!
//! Run them with `make test`: it starts the Postgres and the Redis that these
//! need. Set `ORDERLY_TEST_LOG=debug` to see the service's log.
#![expect(dead_code, reason = "each test binary uses a part of this")]

pub mod answer;
pub mod app;
pub mod cached;
pub mod certificates;
pub mod collector;
pub mod database;
pub mod door;
pub mod eventually;
pub mod invariants;
pub mod process;
pub mod redis_server;
pub mod redis_tls;
pub mod served;
pub mod shop;
pub mod sql;
pub mod stream;
pub mod till;
