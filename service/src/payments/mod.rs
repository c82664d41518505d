//! Payments: the client that asks a payment gateway for money, and a sandbox
//! gateway that plays the provider's part.
//!
//! Two places that share no database must agree on whether a customer has paid,
//! over a network that loses answers. `client.rs` explains how the service gets
//! to one truth all the same; [`sandbox`] is a gateway that misbehaves on
//! command, so that demos, tests and drills can prove it.
//!
//! To watch it break: `service/tests/gateway`.

mod client;
mod gateway_span;
mod outcome;
mod resilient;
pub mod sandbox;

pub use client::PaymentGateway;
pub use outcome::{ChargeOutcome, GatewayError, GatewaySetupError, RefundOutcome};
pub use resilient::{ResilientGateway, ResilientGatewayError};
