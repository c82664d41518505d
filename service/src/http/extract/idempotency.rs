//! The `Idempotency-Key` header.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::domain::idempotency::IdempotencyKey;
use crate::http::problem::{Problem, ProblemKind};

/// The key of a request that costs money. Without one: 400.
pub(crate) struct IdempotencyKeyHeader(pub(crate) IdempotencyKey);

impl FromRequest for IdempotencyKeyHeader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let reject = |detail: &str| {
            let detail = format!("the header idempotency-key {detail}");
            Problem::new(ProblemKind::IdempotencyKeyRequired, detail)
        };
        let key = match request.headers().get("idempotency-key") {
            Some(value) => IdempotencyKey::parse(value.as_bytes())
                .ok_or_else(|| reject("must have 1 to 255 visible ASCII characters")),
            None => Err(reject("is missing; a fresh UUID for each order will do")),
        };
        ready(key.map(Self))
    }
}
