//! The listeners and servers of a service.

use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use anyhow::Context as _;
use tokio_util::task::AbortOnDropHandle;

use crate::lifecycle::shutdown::ShutdownPhase;
use crate::limits::connections::Connections;

pub(super) fn bind_listener(
    address: IpAddr,
    port: u16,
    variable: &str,
) -> anyhow::Result<TcpListener> {
    TcpListener::bind((address, port)).with_context(|| {
        format!("{variable}: {address}:{port} can't be listened on; free it or choose another port")
    })
}

/// A server; it ends when this is dropped.
pub(super) struct RunningServer {
    handle: ServerHandle,
    server: AbortOnDropHandle<std::io::Result<()>>,
    connections: Connections,
    deadlines: AbortOnDropHandle<()>,
}

impl RunningServer {
    pub(super) fn spawn(server: Server, connections: Connections) -> Self {
        let deadlines = tokio::spawn(connections.clone().enforce_deadlines());
        Self {
            handle: server.handle(),
            server: AbortOnDropHandle::new(tokio::spawn(server)),
            connections,
            deadlines: AbortOnDropHandle::new(deadlines),
        }
    }

    /// Returns the phase that takes no new connections, closes idle ones, and responds to requests in flight.
    ///
    /// Connections that still wait for their client at the deadline are closed, and the phase is complete: a client that
    /// does not read its response must not make a shutdown look like a failure.
    pub(super) fn drain(self, deadline: Duration) -> ShutdownPhase {
        let connections = self.connections.clone();
        let drain = async move {
            self.connections.start_draining();
            self.handle.stop(true).await;
            self.server.await??;
            // Until now they end connections that wait for their client.
            drop(self.deadlines);
            Ok(())
        };
        ShutdownPhase::with_deadline("drain", deadline, drain)
            .complete_if(move || connections.being_handled() == 0)
    }
}
