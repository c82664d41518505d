//! Builds one resource of the router: a path, its methods, and the middleware inside of the
//! routing.
//!
//! The response to any other method is 405 with `Allow`.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Resource, Route, guard, web};

use super::middleware::deadline::set_deadline;
use super::middleware::panics::catch_panics;
use super::problem::Problem;

/// Returns the resource of the API at `path`.
pub(super) fn resource(path: String, routes: Vec<(Method, Route)>) -> impl HttpServiceFactory {
    plain_resource(path, routes)
        .wrap(from_fn(catch_panics))
        .wrap(from_fn(set_deadline))
}

/// Returns the resource at `path`, without middleware. `HEAD` comes with `GET` (RFC 9110, section
/// 9.3.2).
pub(super) fn plain_resource(path: String, routes: Vec<(Method, Route)>) -> Resource {
    let mut resource = web::resource(path);
    let mut allowed_methods = Vec::new();
    for (method, route) in routes {
        let route = if method == Method::GET {
            allowed_methods.extend(["GET".to_owned(), "HEAD".to_owned()]);
            route.guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            allowed_methods.push(method.to_string());
            route.method(method)
        };
        resource = resource.route(route);
    }
    let allow = allowed_methods.join(", ");
    resource.default_service(web::to(move || method_not_allowed(allow.clone())))
}

async fn method_not_allowed(allow: String) -> Result<HttpResponse, Problem> {
    Err(Problem::method_not_allowed("this path", &allow))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::config::HttpConfig;
    use crate::http::middleware::problems::write_problems;
    use crate::telemetry::metrics::Metrics;
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    async fn panics() -> HttpResponse {
        panic!("the reason, which is nobody's business")
    }

    #[actix_web::test]
    async fn handler_panic_returns_500_problem_and_is_counted() {
        let metrics = Metrics::new().unwrap();
        let app = init_service(
            App::new()
                .app_data(web::Data::new(metrics.clone()))
                .app_data(web::Data::new(HttpConfig::default()))
                .service(resource(
                    "/panics".to_owned(),
                    vec![(Method::GET, web::to(panics))],
                ))
                .wrap(from_fn(write_problems)),
        )
        .await;
        for count in 1..=2 {
            let request = TestRequest::get().uri("/panics").to_request();
            let response = call_service(&app, request).await;
            assert_eq!(response.status(), 500);
            let body = read_body(response).await;
            let text = std::str::from_utf8(&body).unwrap();
            assert!(text.contains("/problems/internal"), "{text}");
            assert!(!text.contains("nobody's business"), "{text}");
            assert_eq!(metrics.process.handler_panics.get(), count);
        }
    }
}
