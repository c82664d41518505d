//! A connection that sends bytes as a test wants them, also ones that no HTTP client would send.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Long enough for a loaded machine; reached only when the test fails.
const DEADLINE: Duration = Duration::from_secs(30);

pub struct RawConnection {
    stream: TcpStream,
}

impl RawConnection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream }
    }

    /// Connects from another address of the loopback network, as another client.
    pub async fn open_from(source: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        let source = SocketAddr::new(source.parse().unwrap(), 0);
        socket.bind(source).unwrap();
        let stream = socket.connect(address).await.unwrap();
        Self { stream }
    }

    /// Connects with a small receive buffer, so that a client that does not read is noticed soon.
    pub async fn open_with_small_buffer(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(address).await.unwrap();
        Self { stream }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends bytes to a service that may have closed the connection.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _closed = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends the same bytes again and again, for as long as the service takes them and at most for `time`.
    pub async fn send_repeatedly(&mut self, time: Duration, bytes: &[u8]) {
        let sending = async { while self.stream.write_all(bytes).await.is_ok() {} };
        let _the_end_of_the_time = timeout(time, sending).await;
    }

    /// Reads one response with `content-length`.
    pub async fn read_response(&mut self) -> String {
        let mut response = Vec::new();
        while !is_complete(&response) {
            let mut bytes = [0; 4096];
            let read = timeout(DEADLINE, self.stream.read(&mut bytes));
            let length = read.await.expect("a response").unwrap();
            assert_ne!(
                length,
                0,
                "closed: {:?}",
                String::from_utf8_lossy(&response)
            );
            response.extend_from_slice(&bytes[..length]);
        }
        String::from_utf8(response).unwrap()
    }

    /// Reads until the service closes the connection; returns what it sent and how long that took.
    pub async fn read_to_end(&mut self) -> (String, Duration) {
        let started_at = Instant::now();
        let mut response = Vec::new();
        let reading = self.stream.read_to_end(&mut response);
        // A reset is an end too.
        let _ended = timeout(DEADLINE, reading)
            .await
            .expect("the service closes the connection");
        (
            String::from_utf8_lossy(&response).into_owned(),
            started_at.elapsed(),
        )
    }

    /// Ends sending; the service sees the end of the stream.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

fn is_complete(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let lines = head.lines().map(str::to_ascii_lowercase);
    let mut lengths =
        lines.filter_map(|line| Some(line.strip_prefix("content-length: ")?.parse().unwrap()));
    body.len() >= lengths.next().unwrap_or(0)
}
