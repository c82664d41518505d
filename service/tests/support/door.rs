//! A way to a server that can be shut or blocked: how a test takes a dependency
//! away and brings it back, without disturbing any other test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes TCP connections on while it is open.
pub struct Door {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    knocks: Arc<AtomicU32>,
}

#[derive(Clone, Copy)]
struct Passage {
    state: State,
    /// How often those who were inside were lost.
    lost: u32,
    /// Whether who is inside is not told that the other side has hung up.
    keeps_ends_back: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    /// Connections stand, and new ones are taken, but no byte gets through: to
    /// those outside the server is frozen.
    Blocked,
    Shut,
}

impl Door {
    /// An open door to `host:port`; it closes for good when the runtime ends.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let passage = watch::Sender::new(Passage {
            state: State::Open,
            lost: 0,
            keeps_ends_back: false,
        });
        let seen = passage.subscribe();
        let knocks = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&knocks);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                if seen.borrow().state != State::Shut {
                    tokio::spawn(pass(client, target.clone(), seen.clone()));
                }
            }
        });
        Self {
            address,
            passage,
            knocks,
        }
    }

    /// How often somebody has connected, whatever came of it.
    pub fn knocks(&self) -> u32 {
        self.knocks.load(Ordering::SeqCst)
    }

    /// Where to knock.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection off and lets no new one through.
    pub fn shut(&self) {
        self.now_is(State::Shut);
    }

    /// Holds every byte back, until it is opened.
    pub fn block(&self) {
        self.now_is(State::Blocked);
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.now_is(State::Open);
    }

    /// Passes no byte of the connections that stand now, ever again, and tells nobody,
    /// as when a machine behind a proxy loses its power. New ones get through.
    pub fn lose(&self) {
        self.passage.send_modify(|passage| passage.lost += 1);
    }

    /// From now on a connection that one side ends goes on for the other, which hears nothing
    /// more: as with a server that has said goodbye and takes its time to leave.
    pub fn keep_ends_back(&self) {
        self.passage
            .send_modify(|passage| passage.keeps_ends_back = true);
    }

    fn now_is(&self, state: State) {
        self.passage.send_modify(|passage| passage.state = state);
    }
}

async fn pass(client: TcpStream, target: String, mut passage: watch::Receiver<Passage>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::select! {
        () = copy(&mut from_client, &mut to_server, passage.clone()) => {}
        () = copy(&mut from_server, &mut to_client, passage.clone()) => {}
        _ = passage.wait_for(|passage| passage.state == State::Shut) => {}
    }
    let may_end = |passage: &Passage| !passage.keeps_ends_back;
    // An error says that the door is gone.
    let _door_is_gone = passage.wait_for(may_end).await;
}

/// Until one side hangs up, which hangs up the other.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut passage: watch::Receiver<Passage>,
) {
    let lost = passage.borrow().lost;
    let may_pass = |now: &Passage| now.state == State::Open && now.lost == lost;
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if passage.wait_for(may_pass).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
