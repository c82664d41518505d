//! Requests as bytes: for heads that no HTTP client would send.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::raw_connection::RawConnection;

/// A response with the head as it came.
#[derive(Debug)]
pub struct RawResponse {
    /// Whether `100 Continue` came first.
    pub was_continued: bool,
    pub status: u16,
    head: String,
    pub body: String,
}

impl RawResponse {
    fn parse(response: &str) -> Self {
        let after_continue = response.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n");
        let last = after_continue.unwrap_or(response);
        let (head, body) = last.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        Self {
            was_continued: after_continue.is_some(),
            status: status.parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let field = fields.find(|(found, _)| found.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value)
    }

    /// The end of the problem's type.
    #[track_caller]
    pub fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        let kind = problem["type"].as_str().unwrap();
        kind.rsplit('/').next().unwrap().to_owned()
    }
}

/// Sends bytes, keeps the connection open, and returns the response after the service has closed
/// the connection.
pub async fn exchange(address: SocketAddr, request: &str) -> RawResponse {
    let mut connection = RawConnection::open(address).await;
    connection.send(request).await;
    let (text, _) = connection.read_to_end().await;
    assert!(!text.is_empty(), "no response to {request:?}");
    RawResponse::parse(&text)
}
