//! Starts and stops Postgres, Redis, the sandbox gateway and the service, for the developer
//! commands (`main.rs`) and for the tests.

pub mod programs;
pub mod progress;
pub mod servers;
