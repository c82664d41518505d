//! Asks clients to move on while the service shuts down; see
//! [`crate::lifecycle::shutdown`].
//!
//! A load balancer opens no new connections to a replica that is not ready, but
//! goes on to use the ones it has. A request that comes down one of those just as
//! it is closed is lost, and must not be sent again if it was a write. With
//! `Connection: close` on its answer (RFC 9112, section 9.6) the client knows that
//! it was the last one. HTTP/2 has no such header: [`crate::limits::connections`] closes idle connections instead.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::lifecycle::readiness::{LifecycleState, Readiness};

/// The middleware, for `actix_web::middleware::from_fn`.
pub(crate) async fn close_when_stopping<B: MessageBody>(
    readiness: web::Data<Readiness>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    if readiness.state() == LifecycleState::Stopping {
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}
