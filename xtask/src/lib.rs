//! Starts and stops Postgres, Redis, the sandbox gateway and the service, for the developer
//! commands (`main.rs`) and for the tests; and writes a renamed copy of the project.

mod account;
pub mod cargo;
pub mod data_dir;
pub mod fork;
pub mod gateway;
pub mod http;
pub mod interrupt;
mod owner;
pub mod port;
pub mod postgres;
pub mod process;
mod process_table;
pub mod program;
pub mod programs;
pub mod progress;
mod random;
pub mod redis;
mod removal;
mod role;
#[cfg(test)]
mod scratch;
pub mod servers;
pub mod service;
