//! Limits how much each client may ask for; see [`crate::limits`].
//!
//! A client is a user, if the request has a good access token, or else an address.
//! Registering and logging in are always counted by address: who has one account
//! must not get a quota of guesses with each further one.
//!
//! `http/routes.rs` declares the class of each endpoint.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};

use crate::http::client_address::client_address;
use crate::http::endpoint::EndpointIndex;
use crate::http::extract;
use crate::http::problem::Problem;
use crate::http::rate_limit_headers;
use crate::limits::{Client, RateLimits, RequestClass};

/// The middleware, for `actix_web::middleware::from_fn`.
pub(crate) async fn limit_rate(
    limits: web::Data<RateLimits>,
    endpoint_index: web::Data<EndpointIndex>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let class = endpoint_index.rate_limit_class(&request);
    let client = find_client(class, &request, &limits);
    let admitted = match limits.check(class, &client).await {
        Ok(admitted) => admitted,
        Err(exceeded) => return Ok(request.into_response(Problem::from(exceeded).error_response())),
    };
    let mut response = next.call(request).await?.map_into_boxed_body();
    for (name, value) in admitted.iter().flat_map(rate_limit_headers::for_admitted) {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

fn find_client(class: RequestClass, request: &ServiceRequest, limits: &RateLimits) -> Client {
    let http_request = request.request();
    if !class.is_strict()
        && let Ok(identity) = extract::authenticate(http_request)
    {
        return Client::user(identity.user_id);
    }
    let config = limits.config();
    // Without a peer there is no connection: only a test of actix itself has none.
    let address =
        client_address(http_request, &config.trusted_proxies).unwrap_or([0, 0, 0, 0].into());
    Client::at(address)
}
