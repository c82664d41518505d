//! A response body that ends its request when it is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::exchange::RequestGuard;

pub(super) struct TrackedBody {
    body: BoxBody,
    _request: Option<RequestGuard>,
}

impl TrackedBody {
    pub(super) fn new(body: BoxBody, request: Option<RequestGuard>) -> Self {
        Self {
            body,
            _request: request,
        }
    }
}

impl MessageBody for TrackedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
