//! Payments: settlement, workers and their leases, the circuit breaker, log lines.

mod circuit_breaker;
mod leases;
mod retry_logging;
mod settlement;
pub mod workers;
mod wrong_gateway;
