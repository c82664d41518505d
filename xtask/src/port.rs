//! Free ports.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use crate::progress::log_progress;
use crate::random::random_bytes;

const START_ATTEMPTS: u32 = 5;

/// Whether a server listens there.
pub fn is_port_taken(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Returns a port without a listener, below those that systems give to outgoing connections.
/// Another process may take it before the caller does: start a server on it again with another.
///
/// # Errors
/// Returns an error if the system has no random numbers.
pub fn find_free_port() -> anyhow::Result<u16> {
    loop {
        let port = 20_000 + u16::from_be_bytes(random_bytes()?) % 12_000;
        if !is_port_taken(port) {
            return Ok(port);
        }
    }
}

/// Starts a server on the port that the file has, otherwise on the preferred one, otherwise on a
/// free one, and writes the port into the file for the next time. `start` returns none if another
/// port may help.
///
/// # Errors
/// Returns an error if the server does not start; `failure` describes it.
pub(crate) fn start_on_port<T>(
    server: &str,
    port_file: &Path,
    preferred: Option<u16>,
    mut start: impl FnMut(u16) -> anyhow::Result<Option<T>>,
    failure: impl FnOnce() -> String,
) -> anyhow::Result<(u16, T)> {
    let kept = fs::read_to_string(port_file)
        .ok()
        .and_then(|port| port.trim().parse().ok());
    let mut candidate = kept.or(preferred);
    for attempt in 1..=START_ATTEMPTS {
        let port = match candidate.take().filter(|port| !is_port_taken(*port)) {
            Some(port) => port,
            None => find_free_port()?,
        };
        if let Some(started) = start(port)? {
            fs::write(port_file, port.to_string())?;
            return Ok((port, started));
        }
        log_progress(&format!(
            "{server} did not start on port {port} (attempt {attempt} of {START_ATTEMPTS})"
        ));
    }
    bail!("{server} did not start; {}", failure())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::scratch::ScratchDir;

    #[test]
    fn taken_port_is_replaced_and_kept() {
        let scratch = ScratchDir::new("port");
        let file = scratch.path().join("port");
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let taken = listener.local_addr().unwrap().port();
        let start = |preferred| {
            start_on_port(
                "it",
                &file,
                Some(preferred),
                |port| Ok(Some(port)),
                String::new,
            )
            .unwrap()
        };
        let (port, started_on) = start(taken);
        assert!(port != taken && port == started_on);
        assert_eq!(start(taken), (port, port));
    }

    #[test]
    fn server_gets_five_attempts() {
        let scratch = ScratchDir::new("attempts");
        let mut attempts = 0;
        let start = |_| {
            attempts += 1;
            Ok(None::<()>)
        };
        let file = scratch.path().join("port");
        let error = start_on_port("it", &file, None, start, || "it is broken".to_owned());
        assert_eq!(
            error.unwrap_err().to_string(),
            "it did not start; it is broken"
        );
        assert_eq!(attempts, START_ATTEMPTS);
    }
}
