//! Drills: something is taken away under load, and what the service promises about it
//! is checked.
//!
//! Every drill has its own environment ([`environment::DrillEnvironment`]): a Postgres and a Redis that it
//! may kill or freeze, a payment gateway that fails on command, and one or more replicas
//! of the real binary. Clients come at a constant rate ([`load::LoadGenerator`]) and behave as
//! good clients do: what was refused or lost they send again, with the same key. A drill
//! then checks three things:
//!
//! 1. what the clients saw (only the statuses that it names), and how long they waited,
//! 2. how long it took until all was well again,
//! 3. the invariants ([`environment::invariants`]): no order lost, none doubled, none paid twice, no
//!    money taken without an order.
//!
//! Each is named after the page in `docs/runbooks` that tells people what to do when it
//! happens for real. `make drills` runs them and prints a table; they take turns, since
//! each needs the machine for itself. A failed one leaves its logs, and says where.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]
#![expect(unreachable_pub, reason = "support is shared by several test binaries")]

#[path = "../support/mod.rs"]
mod support;

mod environment;
mod load;

mod connections;
mod deadlines;
mod gateway;
mod migrations;
mod overload;
mod postgres;
mod redis;
mod replicas;
