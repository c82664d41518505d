//! A way to a server that can be shut: how a test takes a dependency away and
//! brings it back, without disturbing any other test.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes TCP connections on while it is open.
pub struct Door {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Door {
    /// An open door to `host:port`; it closes for good when the runtime ends.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = watch::Sender::new(true);
        let state = open.subscribe();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *state.borrow() {
                    tokio::spawn(pass(client, target.clone(), state.clone()));
                }
            }
        });
        Self { address, open }
    }

    /// Where to knock.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection off and lets no new one through.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(mut client: TcpStream, target: String, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
