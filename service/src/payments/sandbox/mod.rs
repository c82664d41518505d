//! A payment gateway to play with: the provider's side of a charge.
//!
//! # The problem
//!
//! What a payment provider does on a bad day decides whether customers are charged
//! twice, and no real provider has a bad day on request. This one does, and it keeps
//! a ledger to compare with what the service believes.
//!
//! # How it works
//!
//! | route | what it does |
//! |---|---|
//! | `POST /charges` | takes money, once for each `Idempotency-Key`: 201, 200 on a repeat, 402 declined, 409 voided, 422 key reused |
//! | `POST /refunds` | undoes whatever was or will be charged for a reference: `refunded` or `voided` |
//! | `GET /ledger` | all that happened, in order |
//! | `GET`, `PUT`, `DELETE /faults` | the faults in force, replaced as a whole |
//! | `GET /health` | 200, whatever the faults |
//!
//! Faults strike `/charges` and `/refunds` only. `/ledger` and `/faults` answer
//! loopback peers only. `ledger.rs` has the rules about money, `journal.rs` the file
//! that lets them survive a restart, `faults.rs` the ways to fail, `reset.rs` the one
//! that is hard to do.
//!
//! Ledger writes run in the blocking pool and finish even when the client has gone:
//! a request that reached the ledger happened, whether or not anyone hears of it.
//!
//! # How to watch it break
//!
//! `service/tests/gateway`.

mod error;
mod extractors;
mod faults;
mod ledger;
mod ledger_journal;
mod requests;
mod routes;
mod tcp_reset;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use tokio::task::{self, JoinHandle};

use self::faults::Faults;
use self::ledger::SandboxLedger;
use self::routes::State;

pub use self::ledger::{EntryKind, LedgerEntry};

/// A running sandbox gateway. It runs until [`stop`](Self::stop), or until the runtime
/// that started it ends.
#[derive(Debug)]
pub struct SandboxGateway {
    address: SocketAddr,
    ledger: Arc<SandboxLedger>,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
}

impl SandboxGateway {
    /// Starts a gateway on `bind`, port 0 for a free one. With a `ledger` path its
    /// memory is that file, made if absent; without, it forgets when it stops.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is taken, or if the ledger cannot be opened or read.
    pub async fn start(bind: SocketAddr, ledger: Option<PathBuf>) -> io::Result<Self> {
        let ledger = task::spawn_blocking(move || SandboxLedger::open(ledger.as_deref())).await??;
        let ledger = Arc::new(ledger);
        let state = web::Data::new(State {
            ledger: Arc::clone(&ledger),
            faults: Mutex::new(Faults::default()),
        });
        let server =
            HttpServer::new(move || App::new().configure(routes::configure(state.clone())))
                .on_connect(tcp_reset::store_socket)
                // A hanging request ends when its client goes away.
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, as the client wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The ledger's entries, oldest first.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.ledger.entries()
    }

    /// Stops at once: open connections are cut off, hanging requests with them. After
    /// this the ledger's file changes no more.
    ///
    /// # Errors
    ///
    /// Returns an error if the server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        // Not gracefully: a request that hangs on purpose would hold up the drain.
        self.handle.stop(false).await;
        let ledger = self.ledger;
        task::spawn_blocking(move || ledger.close()).await?;
        self.server.await?
    }
}
