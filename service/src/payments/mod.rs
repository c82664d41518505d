//! Payments: the client of a payment gateway.
//!
//! Two systems that share no database must agree on whether a customer has paid, over a network
//! that loses responses. `client.rs` explains how they agree. Demos, tests and drills prove it with
//! the crate `sandbox-gateway`, a gateway that fails on command.
//!
//! # Tests
//!
//! `service/tests/gateway`.

mod client;
mod gateway_span;
mod ledger;
mod outcome;
mod resilient;
mod response;

pub use client::PaymentGateway;
pub use ledger::{EntryKind, LedgerEntry};
pub use outcome::{ChargeOutcome, GatewayError, GatewaySetupError, RefundOutcome};
pub use resilient::{ResilientGateway, ResilientGatewayError};
