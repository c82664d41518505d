//! Waits until the whole request is here, before it counts as one.
//!
//! A client that sends its body a byte at a time costs itself nothing. If it had one of
//! the permits that [`super::load_shedding`] gives out while it does, a few dozen such clients
//! would be all it takes to have everybody else refused ("slow POST", the body's
//! counterpart of the slow loris, which `http.request_head_timeout` is against). So the
//! body is received first, in `http.request_body_timeout`, and up to
//! `http.body_limit_bytes`; then the request gets its permit and its deadline.
//!
//! Bodies that are on their way take memory before any other limit is asked. Over
//! HTTP/1.1 there is one for each connection, but over HTTP/2 as many as the client has
//! streams: so [`BodyBufferPermits`] counts the bodies themselves.
//!
//! See it break: the drill `slow_clients`, and the test below.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::HttpConfig;
use crate::http::problem::{Problem, ProblemKind};
use crate::telemetry::metrics::Metrics;

/// How many bodies may be on their way at once, over all workers and connections.
pub(crate) struct BodyBufferPermits(Semaphore);

impl BodyBufferPermits {
    /// As many as there may be connections: over HTTP/1.1 it never rejects a request.
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self(Semaphore::new(config.max_connections))
    }
}

/// The middleware, for `actix_web::middleware::from_fn`.
pub(crate) async fn buffer_body(
    config: web::Data<HttpConfig>,
    permits: web::Data<BodyBufferPermits>,
    metrics: web::Data<Metrics>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Ok(permit) = permits.0.try_acquire() else {
        metrics.in_flight.requests_shed.inc();
        let problem = Problem::shed("too many requests are on their way in");
        return Ok(request.into_response(problem.error_response()));
    };
    let body = request.extract::<web::Bytes>();
    let result = timeout(config.request_body_timeout, body).await;
    drop(permit);
    let problem = match result {
        Ok(Ok(body)) => {
            request.set_payload(Payload::from(body));
            return Ok(next.call(request).await?.map_into_boxed_body());
        }
        Ok(Err(error)) => body_problem(&error, config.body_limit_bytes),
        Err(_) => Problem::new(ProblemKind::RequestTimeout, "the body took too long"),
    };
    let mut response = problem.error_response();
    // The rest of the body may still come, and is no next request.
    let head = response.head_mut();
    head.set_connection_type(ConnectionType::Close);
    Ok(request.into_response(response))
}

fn body_problem(error: &Error, limit: usize) -> Problem {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => Problem::new(
            ProblemKind::BodyTooLarge,
            format!("the body has more than {limit} bytes"),
        ),
        _ => Problem::new(ProblemKind::BadRequest, "the body ended too early"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse};
    use futures_util::{StreamExt as _, poll, stream};

    #[actix_web::test]
    async fn limits_number_of_bodies_being_received() {
        let config = HttpConfig {
            max_connections: 2,
            ..HttpConfig::default()
        };
        let metrics = web::Data::new(Metrics::new().unwrap());
        let app = App::new()
            .app_data(web::Data::new(BodyBufferPermits::new(&config)))
            .app_data(web::Data::new(config))
            .app_data(metrics.clone())
            .default_service(web::to(HttpResponse::Ok))
            .wrap(from_fn(buffer_body));
        let app = init_service(app).await;
        let endless = || {
            let payload = stream::pending().boxed_local();
            let request = TestRequest::post().to_request();
            let (request, _) = request.replace_payload(Payload::Stream { payload });
            call_service(&app, request)
        };
        let short = async || {
            let request = TestRequest::get().to_request();
            call_service(&app, request).await.status().as_u16()
        };
        let mut first = Box::pin(endless());
        let mut second = Box::pin(endless());
        assert!(poll!(&mut first).is_pending());
        assert_eq!(short().await, 200);
        assert!(poll!(&mut second).is_pending());
        assert_eq!(short().await, 503);
        assert_eq!(metrics.in_flight.requests_shed.get(), 1);
        drop(first);
        assert_eq!(short().await, 200);
    }
}
