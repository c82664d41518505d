//! Checks the head of every request before its body is read; the same rules hold on every listener.
//!
//! # Problem
//! actix-http passes on heads whose meaning is not settled. It reads the body of an offered
//! `Upgrade: websocket` and of `CONNECT` until the client closes, so a plain GET waits for a body
//! that never ends. It answers an offered upgrade with `Connection: upgrade` and then closes without
//! notice, so the next request on that connection is lost. Of a field that came twice, a reader
//! takes the first value and the client may have meant the second.
//!
//! # How it works
//! | head | response | RFC 9110 |
//! |---|---|---|
//! | `Upgrade`, `Connection: upgrade` | as without the offer, with `Connection: close` | section 7.8 |
//! | `CONNECT`, `OPTIONS *` | 405 with `Allow`: the methods of the listener | sections 9.3.6 and 9.3.7 |
//! | any other target that is not a path | 400 | section 7.1 |
//! | `Expect` with a member other than `100-continue` | 417 | section 10.1.1 |
//! | one of [`SINGLETON_FIELDS`] twice | 400 | section 5.3 |
//!
//! Methods are the business of the resource: `http/resource.rs`.
//!
//! # Pitfalls
//! Lines of a field that is a list (`X-Forwarded-For`, `Accept`, `If-None-Match`) are one list, and
//! its reader must combine them. A trace context never rejects a request: a repeated one counts as
//! none (`telemetry/propagation.rs`).
//!
//! # Tests
//! `tests/api/http/framing.rs` and `tests/api/http/repeated_headers.rs`.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, RequestHead, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError as _, web};
use futures_util::{StreamExt as _, stream};

use crate::http::problem::{Problem, ProblemKind};

/// Fields with one value, among those that a handler or middleware reads.
const SINGLETON_FIELDS: [&str; 8] = [
    "access-control-request-method",
    "authorization",
    "content-type",
    "host",
    "idempotency-key",
    "if-match",
    "origin",
    "x-request-timeout-ms",
];

/// Methods that a listener serves, for the `Allow` of a 405 that concerns no path.
pub(crate) struct ListenerMethods(pub(crate) String);

/// The middleware, for `actix_web::middleware::from_fn`.
pub(crate) async fn check_head(
    methods: web::Data<ListenerMethods>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let offers_upgrade = offers_upgrade(request.head());
    let rejection = find_problem(request.head(), &methods);
    let is_last_request = offers_upgrade || rejection.is_some();
    let mut response = match rejection {
        Some(problem) => request.into_response(problem.error_response()),
        None => {
            if offers_upgrade {
                read_announced_body_only(&mut request);
            }
            next.call(request).await?.map_into_boxed_body()
        }
    };
    if is_last_request {
        // Bytes of a body that was not read are no next request.
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

fn find_problem(head: &RequestHead, methods: &ListenerMethods) -> Option<Problem> {
    let path = head.uri.path();
    if head.method == Method::CONNECT || (head.method == Method::OPTIONS && path == "*") {
        return Some(Problem::method_not_allowed("this service", &methods.0));
    }
    if !path.starts_with('/') {
        let detail = "the target of the request must be a path";
        return Some(Problem::new(ProblemKind::BadRequest, detail));
    }
    if !expects_only_continue(head.headers()) {
        let detail = "the only expectation that this service meets is 100-continue";
        return Some(Problem::new(ProblemKind::ExpectationFailed, detail));
    }
    find_repeated_field(head.headers()).map(|name| {
        let detail = format!("send the header {name} once");
        Problem::new(ProblemKind::RepeatedHeader, detail)
    })
}

fn offers_upgrade(head: &RequestHead) -> bool {
    head.upgrade() || head.headers().contains_key(header::UPGRADE)
}

/// Ends the body where `Content-Length` says, or before it begins. A chunked body has an end of its
/// own.
fn read_announced_body_only(request: &mut ServiceRequest) {
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        return;
    }
    // actix-http has rejected a length that is no number.
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let payload = match length {
        None | Some(0) => Payload::None,
        Some(length) => take_bytes(request.take_payload(), length),
    };
    request.set_payload(payload);
}

fn take_bytes(payload: Payload, length: u64) -> Payload {
    let body = stream::try_unfold((payload, length), async |(mut payload, remaining)| {
        if remaining == 0 {
            return Ok(None);
        }
        let next = payload.next().await;
        let mut chunk = next.ok_or(PayloadError::Incomplete(None))??;
        chunk.truncate(usize::try_from(remaining).unwrap_or(usize::MAX));
        let remaining = remaining - chunk.len() as u64;
        Ok(Some((chunk, (payload, remaining))))
    });
    Payload::Stream {
        payload: body.boxed_local(),
    }
}

fn expects_only_continue(headers: &HeaderMap) -> bool {
    let mut members = headers
        .get_all(header::EXPECT)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    members.all(|member| member.is_empty() || member.eq_ignore_ascii_case(b"100-continue"))
}

fn find_repeated_field(headers: &HeaderMap) -> Option<&'static str> {
    // Most requests repeat no field at all.
    if headers.len() == headers.len_keys() {
        return None;
    }
    SINGLETON_FIELDS
        .into_iter()
        .find(|name| headers.get_all(*name).count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::cors::ALLOWED_HEADERS;
    use actix_web::test::TestRequest;

    #[test]
    fn every_client_field_is_singleton_or_combined() {
        let combined = [
            "if-none-match",
            "traceparent",
            "tracestate",
            "uber-trace-id",
        ];
        for name in ALLOWED_HEADERS {
            let is_combined = combined.contains(&name);
            assert_ne!(SINGLETON_FIELDS.contains(&name), is_combined, "{name}");
        }
    }

    #[test]
    fn finds_repeated_singleton_field_only() {
        let request = TestRequest::default()
            .append_header(("accept", "text/plain"))
            .append_header(("accept", "application/json"))
            .append_header(("if-match", "\"1\""));
        let mut headers = request.to_http_request().headers().clone();
        assert_eq!(find_repeated_field(&headers), None);
        headers.append(header::IF_MATCH, header::HeaderValue::from_static("\"2\""));
        assert_eq!(find_repeated_field(&headers), Some("if-match"));
    }

    #[test]
    fn expectation_is_list_of_continue_only() {
        for (values, expected) in [
            (vec![], true),
            (vec!["100-continue"], true),
            (vec!["100-Continue, 100-continue"], true),
            (vec![""], true),
            (vec!["100-continue", "200-ok"], false),
            (vec!["100-continue;q=1"], false),
            (vec!["meaning"], false),
        ] {
            let mut request = TestRequest::default();
            for value in &values {
                request = request.append_header(("expect", *value));
            }
            let request = request.to_http_request();
            assert_eq!(
                expects_only_continue(request.headers()),
                expected,
                "{values:?}"
            );
        }
    }
}
