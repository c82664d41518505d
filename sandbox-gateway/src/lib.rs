//! A sandbox payment gateway: the provider's side of a charge, for development and tests.
//!
//! # Problem
//!
//! The behaviour of a payment provider during an incident decides whether customers are charged
//! twice, and no real provider has an incident on request. This one fails on command, and keeps a
//! ledger that can be compared with the database of the service.
//!
//! # How it works
//!
//! | route | effect |
//! |---|---|
//! | `POST /charges` | takes money, once for each `Idempotency-Key`: 201, 200 on a repeat, 402 declined, 409 voided, 422 key reused |
//! | `POST /refunds` | reverses every charge of a reference, also one that has not arrived yet: `refunded` or `voided` |
//! | `GET /ledger` | lists all entries, oldest first |
//! | `GET`, `PUT`, `DELETE /faults` | shows, replaces and clears the faults |
//! | `GET /health` | 200, whatever the faults |
//!
//! Faults affect `/charges` and `/refunds` only. `/ledger` and `/faults` accept loopback peers
//! only. `ledger.rs` has the rules about money, `journal.rs` the file that keeps them over a
//! restart, `faults.rs` the ways to fail, `tcp_reset.rs` the one that is hard to implement.
//!
//! Ledger writes run in the blocking pool and finish even if the client has disconnected: a request
//! that reached the ledger happened, whether or not its response arrives.
//!
//! # Pitfalls
//!
//! A real provider's secrets, webhooks and fees are missing. The ledger is not synced to disk.
//!
//! # Tests
//!
//! `sandbox-gateway/tests/gateway`: `fifty_concurrent_identical_charges_charge_once`,
//! `concurrent_charge_and_refund_balance_to_zero`, `keeps_ledger_after_kill`.

pub mod cli;
mod error;
mod extractors;
mod faults;
mod journal;
mod ledger;
mod requests;
mod routes;
mod tcp_reset;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use tokio::task::{self, JoinHandle};

use self::ledger::Ledger;
use self::routes::State;

pub use self::ledger::{EntryKind, LedgerEntry};

/// Port of the gateway if no other is set.
pub const DEFAULT_PORT: u16 = 8090;

/// A running sandbox gateway. It runs until [`stop`](Self::stop), or until the runtime that started
/// it ends.
#[derive(Debug)]
pub struct SandboxGateway {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
}

impl SandboxGateway {
    /// Starts a gateway on `bind`; port 0 takes any free port. The ledger is kept in the file at
    /// `ledger`, created if absent, or in memory only.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is in use, or if the ledger cannot be opened or read.
    pub async fn start(bind: SocketAddr, ledger: Option<PathBuf>) -> io::Result<Self> {
        let ledger = task::spawn_blocking(move || Ledger::open(ledger.as_deref())).await??;
        let ledger = Arc::new(ledger);
        let state = web::Data::new(State::new(Arc::clone(&ledger)));
        let server =
            HttpServer::new(move || App::new().configure(routes::configure(state.clone())))
                .on_connect(tcp_reset::store_socket)
                // A hanging request ends when its client disconnects.
                .h1_allow_half_closed(false)
                .workers(1)
                .disable_signals()
                .bind(bind)
                .map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot listen on {bind}: {error}"))
                })?;
        let address = server.addrs().first().copied().unwrap_or(bind);
        let server = server.run();
        Ok(Self {
            address,
            ledger,
            handle: server.handle(),
            server: tokio::spawn(server),
        })
    }

    /// Address that the gateway listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Entries of the ledger, oldest first.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.ledger.entries()
    }

    /// Stops immediately and closes all connections, including those of hanging requests.
    /// Afterwards the ledger's file does not change any more.
    ///
    /// # Errors
    ///
    /// Returns an error if the server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        // Not gracefully: a request that hangs on purpose would delay the drain.
        self.handle.stop(false).await;
        let ledger = self.ledger;
        task::spawn_blocking(move || ledger.close()).await?;
        self.server.await?
    }
}
