//! Responses to clients that never reach a handler.

use std::time::SystemTime;

use actix_http::header::HttpDate;

use crate::http::problem::{ProblemBody, ProblemKind, TYPE_BASE};
use crate::limits::connections::{ConnectionLimit, RejectedHead};

/// A whole HTTP/1.1 response, after which the connection is closed.
pub(super) struct RejectionResponse {
    status: u16,
    bytes: Vec<u8>,
}

impl RejectionResponse {
    /// Returns the response to a request head that is no request.
    pub(super) fn to_head(reason: RejectedHead) -> Self {
        let (kind, detail) = match reason {
            RejectedHead::Malformed => (
                ProblemKind::BadRequest,
                "the request line or a header breaks the rules of HTTP/1.1",
            ),
            RejectedHead::TooLarge => (
                ProblemKind::RequestHeadTooLarge,
                "send fewer or shorter headers",
            ),
            RejectedHead::Timeout => (
                ProblemKind::RequestTimeout,
                "the request line and the headers took too long",
            ),
        };
        Self::new(kind, detail, "")
    }

    /// Returns the response to a connection over a limit.
    pub(super) fn to_connection(limit: ConnectionLimit) -> Self {
        let (kind, detail) = match limit {
            ConnectionLimit::Total => (
                ProblemKind::Overloaded,
                "all connections of the service are in use",
            ),
            ConnectionLimit::Client => (
                ProblemKind::TooManyConnections,
                "close connections that are not needed, or reuse them",
            ),
        };
        Self::new(kind, detail, "retry-after: 1\r\n")
    }

    fn new(kind: ProblemKind, detail: &str, headers: &str) -> Self {
        let status = kind.status();
        let body = serde_json::to_string(&ProblemBody {
            type_uri: format!("{TYPE_BASE}{}", kind.slug()),
            title: kind.title(),
            status: status.as_u16(),
            detail,
            // The path is unknown, and there is no span with a trace id.
            instance: "",
            trace_id: "",
            errors: &[],
        })
        .unwrap_or_default();
        let date = HttpDate::from(SystemTime::now());
        let length = body.len();
        let response = format!(
            "HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-type: application/problem+json\r\n\
             content-length: {length}\r\ncache-control: no-store\r\nconnection: close\r\n{headers}\r\n{body}"
        );
        Self {
            status: status.as_u16(),
            bytes: response.into_bytes(),
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
