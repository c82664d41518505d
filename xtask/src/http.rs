//! Requests to a server on this machine: plain HTTP, one for each connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const IO_TIMEOUT: Duration = Duration::from_secs(30);

/// The response to a request.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Sends a request with these headers, each without a line end.
///
/// # Errors
/// Returns an error if there is no response that can be read.
pub fn send_request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[String],
    body: &str,
) -> anyhow::Result<Response> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut connection = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
        .with_context(|| format!("{address} can't be reached"))?;
    connection.set_read_timeout(Some(IO_TIMEOUT))?;
    connection.set_write_timeout(Some(IO_TIMEOUT))?;
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    // A response of HTTP/1.0 ends with its connection and has no chunks.
    write!(
        connection,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut response = String::new();
    connection.read_to_string(&mut response)?;
    parse(&response).with_context(|| format!("{method} {path}: no HTTP response"))
}

/// Sends a request that must succeed and returns the body of the response.
///
/// # Errors
/// Returns an error with the status if that is not 2xx.
pub fn send_json(
    port: u16,
    path: &str,
    headers: &[String],
    body: &str,
) -> anyhow::Result<serde_json::Value> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let json = "Content-Type: application/json".to_owned();
    let headers: Vec<_> = headers.iter().cloned().chain([json]).collect();
    let response = send_request(port, method, path, &headers, body)?;
    if !(200..300).contains(&response.status) {
        bail!(
            "{method} {path} returned {}: {}",
            response.status,
            response.body
        );
    }
    serde_json::from_str(&response.body).with_context(|| format!("{method} {path}: no JSON"))
}

fn parse(response: &str) -> Option<Response> {
    let (head, body) = response.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response {
        status,
        body: body.to_owned(),
    })
}
