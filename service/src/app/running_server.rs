//! The listeners and servers of a service.

use std::net::{IpAddr, TcpListener};

use actix_web::dev::{Server, ServerHandle};
use anyhow::Context as _;
use tokio_util::task::AbortOnDropHandle;

use crate::http::connection_tracker::ConnectionTracker;

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
    task: AbortOnDropHandle<std::io::Result<()>>,
}

impl RunningServer {
    pub(super) fn spawn(server: Server) -> Self {
        Self {
            handle: server.handle(),
            task: AbortOnDropHandle::new(tokio::spawn(server)),
        }
    }

    /// Takes no new connections, closes idle ones, answers what is in flight. To
    /// drop this before it is done cuts what still is.
    pub(super) async fn drain(self, connections: ConnectionTracker) -> anyhow::Result<()> {
        tokio::select! {
            () = self.handle.stop(true) => Ok(self.task.await??),
            () = connections.wait_until_only_idle_http2() => Ok(()),
        }
    }
}
