//! One endpoint of the API, and the index of all endpoints.
//!
//! # Problem
//! Path and method of an endpoint decide its route, its place in the OpenAPI document, the `Allow`
//! header, the CORS methods, the rate-limit class and whether caches may store the response.
//! Written once for each of these, they contradict each other after the first change.
//!
//! # How it works
//! `#[utoipa::path]` on the handler names path and method. [`endpoint!`] derives an OpenAPI
//! document that contains this operation alone, and [`Endpoint::new`] reads both from it.
//! Everything else derives from the [`Endpoint`]:
//!
//! | derived | by |
//! |---|---|
//! | route, `HEAD`, 405 with `Allow` | `routes.rs`, `resource.rs` |
//! | OpenAPI document | `openapi.rs` |
//! | CORS methods | `cors.rs` |
//! | rate-limit class, `Cache-Control` | [`EndpointIndex`] |
//!
//! # Tests
//! The unit tests of `routes.rs`; over HTTP `tests/api/http/openapi.rs`,
//! `tests/api/http/browser_security.rs` and `tests/api/rate_limits`.

use std::collections::HashMap;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, web};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::path::Operation;

use crate::limits::RequestClass;

/// Declares the endpoint of a handler that has a `#[utoipa::path]` annotation.
macro_rules! endpoint {
    ($($handler:ident)::+) => {{
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($handler)::+))]
        struct Annotation;
        let document = <Annotation as utoipa::OpenApi>::openapi();
        $crate::http::endpoint::Endpoint::new(document, $($handler)::+)
    }};
}
pub(super) use endpoint;

/// A handler with its path, its method and its documentation.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// Route template, such as `/v1/orders/{id}`.
    pub(super) path: String,
    /// Class whose quota the requests count against.
    pub(super) rate_limit: RequestClass,
    /// Whether the response is the same for every client, so that caches may store it.
    pub(super) is_public: bool,
    /// OpenAPI document with this operation alone.
    pub(super) document: Document,
    pub(super) route: Route,
}

impl Endpoint {
    /// Returns the endpoint of the only operation in `document`.
    ///
    /// # Panics
    /// Panics at start-up if the document is empty, which an annotation can't cause.
    #[expect(clippy::expect_used, reason = "runs at start-up only")]
    pub(super) fn new<F, Args>(mut document: Document, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let (path, method, operation) = operations(&mut document)
            .next()
            .expect("an annotation documents one operation");
        Self {
            path: path.to_owned(),
            rate_limit: default_class(&method),
            is_public: method == Method::GET && operation.security.is_none(),
            method,
            document,
            route: web::to(handler),
        }
    }

    /// Replaces the rate-limit class. The method decides the default: `Read` or `Write`.
    pub(super) fn limited_as(mut self, class: RequestClass) -> Self {
        self.rate_limit = class;
        self
    }
}

/// Returns every operation of a document, with its path and method.
pub(super) fn operations(
    document: &mut Document,
) -> impl Iterator<Item = (&str, Method, &mut Operation)> {
    document.paths.paths.iter_mut().flat_map(|(path, item)| {
        [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::DELETE, &mut item.delete),
            (Method::OPTIONS, &mut item.options),
            (Method::HEAD, &mut item.head),
            (Method::PATCH, &mut item.patch),
            (Method::TRACE, &mut item.trace),
        ]
        .into_iter()
        .filter_map(|(method, operation)| Some((path.as_str(), method, operation.as_mut()?)))
    })
}

/// Properties of all endpoints, for middleware that runs outside of the routing.
pub(crate) struct EndpointIndex(HashMap<(String, Method), Properties>);

struct Properties {
    rate_limit: RequestClass,
    is_public: bool,
}

impl EndpointIndex {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        let properties = endpoints.into_iter().map(|endpoint| {
            let properties = Properties {
                rate_limit: endpoint.rate_limit,
                is_public: endpoint.is_public,
            };
            ((endpoint.path, endpoint.method), properties)
        });
        Self(properties.collect())
    }

    /// Returns the rate-limit class of a request, also of one that fits no endpoint.
    pub(crate) fn rate_limit_class(&self, request: &ServiceRequest) -> RequestClass {
        self.find(request).map_or_else(
            || default_class(request.method()),
            |endpoint| endpoint.rate_limit,
        )
    }

    /// Returns `true` if the endpoint's response is the same for every client.
    pub(crate) fn is_public(&self, request: &ServiceRequest) -> bool {
        self.find(request)
            .is_some_and(|endpoint| endpoint.is_public)
    }

    /// Looks up the path that the router sees. The path as it was sent may be an alias, such as
    /// `/v1/%73essions`, and would evade a strict class.
    fn find(&self, request: &ServiceRequest) -> Option<&Properties> {
        let path = request.match_info().as_str();
        let template = request.resource_map().match_pattern(path)?;
        let method = match *request.method() {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        self.0.get(&(template, method))
    }
}

fn default_class(method: &Method) -> RequestClass {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => RequestClass::Read,
        _ => RequestClass::Write,
    }
}
