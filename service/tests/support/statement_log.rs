//! A proxy to Postgres that logs the statements which a service has the server parse.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::fault_proxy::postgres_host;

const PROTOCOL_3_0: [u8; 4] = [0, 3, 0, 0];

/// Statements in the order in which each connection sent them.
#[derive(Clone, Default)]
pub struct StatementLog(Arc<Mutex<Vec<Vec<String>>>>);

impl StatementLog {
    /// Starts a proxy, which ends with the runtime.
    pub async fn start() -> (Self, SocketAddr) {
        let log = Self::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = log.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(proxy.clone().forward(client));
            }
        });
        (log, address)
    }

    /// Returns the statements of each connection.
    pub fn connections(&self) -> Vec<Vec<String>> {
        self.0.lock().unwrap().clone()
    }

    async fn forward(self, client: TcpStream) {
        let connection = {
            let mut connections = self.0.lock().unwrap();
            connections.push(Vec::new());
            connections.len() - 1
        };
        let Ok(server) = TcpStream::connect(postgres_host()).await else {
            return;
        };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let requests = async {
            let mut decoder = Decoder::default();
            let mut bytes = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                let statements = decoder.decode(&bytes[..read]);
                self.0.lock().unwrap()[connection].extend(statements);
                if to_server.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = requests => {}
            _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
        }
    }
}

/// Reads the messages of a client (PostgreSQL manual, "Frontend/Backend Protocol", "Message
/// Formats").
#[derive(Default)]
struct Decoder {
    bytes: Vec<u8>,
    started: bool,
}

impl Decoder {
    /// Returns the statements in the messages that are complete.
    fn decode(&mut self, bytes: &[u8]) -> Vec<String> {
        self.bytes.extend(bytes);
        let mut statements = Vec::new();
        while let Some(message) = self.next_message() {
            let body = &message[5..];
            let mut texts = body.split(|byte| *byte == 0);
            statements.extend(match message[0] {
                // Parse: the name of the prepared statement, then its text.
                b'P' => texts.nth(1).map(to_text),
                b'Q' => texts.next().map(to_text),
                _ => None,
            });
        }
        statements
    }

    /// The messages before and at the start of a session have no type.
    fn next_message(&mut self) -> Option<Vec<u8>> {
        loop {
            let header = usize::from(self.started);
            let length = self.bytes.get(header..header + 4)?.try_into().unwrap();
            let end = header + usize::try_from(u32::from_be_bytes(length)).unwrap();
            if self.bytes.len() < end {
                return None;
            }
            let message: Vec<u8> = self.bytes.drain(..end).collect();
            if self.started {
                return Some(message);
            }
            self.started = message[4..8] == PROTOCOL_3_0;
        }
    }
}

fn to_text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
