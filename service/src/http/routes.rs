//! The route table: every path of the API, its methods, and who answers.
//!
//! This is where the path of a request begins. A path with a method that is not
//! here is 405 with `Allow`, any other path is 404. `tests/api/http/openapi.rs`
//! compares the table with the OpenAPI document.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{Handler, HttpResponse, Resource, Responder, guard, web};
use utoipa::OpenApi as _;
use utoipa_swagger_ui::{self as swagger_ui, SwaggerUi};

use super::handlers::{orders, products, sessions, users};
use super::middleware::deadline::set_deadline;
use super::middleware::panics::catch_panics;
use super::openapi::ApiDoc;
use super::problem::{Problem, ProblemKind};

/// Adds the API to an actix application.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    let document = web::Data::new(ApiDoc::openapi());
    let serve_document = move || {
        let document = document.clone();
        async move { HttpResponse::Ok().json(document.get_ref()) }
    };
    app.service(
        web::scope("/v1")
            .service(
                ResourceBuilder::new("/users")
                    .on(Method::POST, users::register)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/users/me")
                    .on(Method::GET, users::view_me)
                    .on(Method::PATCH, users::change_me)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/sessions")
                    .on(Method::POST, sessions::log_in)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/products")
                    .on(Method::GET, products::list)
                    .on(Method::POST, products::create)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/products/{id}")
                    .on(Method::GET, products::get)
                    .on(Method::PATCH, products::change)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/products/{id}/stock")
                    .on(Method::POST, products::adjust_stock)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/orders")
                    .on(Method::GET, orders::list)
                    .on(Method::POST, orders::place)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/orders/{id}")
                    .on(Method::GET, orders::get)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/orders/{id}/cancel")
                    .on(Method::POST, orders::cancel)
                    .build(),
            )
            .service(
                ResourceBuilder::new("/orders/{id}/ship")
                    .on(Method::POST, orders::ship)
                    .build(),
            ),
    )
    .service(
        ResourceBuilder::new("/openapi.json")
            .on(Method::GET, serve_document)
            .build(),
    )
    .service(web::redirect("/docs", "/docs/"))
    .service(SwaggerUi::new("/docs/{_:.*}").config(swagger_ui::Config::from("/openapi.json")))
    .default_service(web::to(unknown_route));
}

async fn unknown_route() -> Result<HttpResponse, Problem> {
    Err(Problem::new(
        ProblemKind::NotFound,
        "there is nothing at this path; /openapi.json lists what there is",
    ))
}

/// A path with its methods. `HEAD` comes with `GET` (RFC 9110, section 9.3.2).
struct ResourceBuilder {
    resource: Resource,
    allowed_methods: Vec<Method>,
}

impl ResourceBuilder {
    fn new(path: &str) -> Self {
        Self {
            resource: web::resource(path),
            allowed_methods: Vec::new(),
        }
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let route = if method == Method::GET {
            self.allowed_methods.extend([Method::GET, Method::HEAD]);
            web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            self.allowed_methods.push(method.clone());
            web::method(method)
        };
        self.resource = self.resource.route(route.to(handler));
        self
    }

    fn build(self) -> impl HttpServiceFactory {
        let names: Vec<&str> = self.allowed_methods.iter().map(Method::as_str).collect();
        let allow = names.join(", ");
        self.resource
            .default_service(web::to(move || method_not_allowed(allow.clone())))
            .wrap(from_fn(catch_panics))
            .wrap(from_fn(set_deadline))
    }
}

async fn method_not_allowed(allow: String) -> Result<HttpResponse, Problem> {
    let detail = format!("this path takes {allow}");
    let problem = Problem::new(ProblemKind::MethodNotAllowed, detail);
    Err(match HeaderValue::from_str(&allow) {
        Ok(value) => problem.with_header(header::ALLOW, value),
        Err(_) => problem,
    })
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

    /// A name, since `tests/api/http/openapi.rs` takes every literal path of this file for a route.
    const PANICS: &str = "/panics";

    async fn panics() -> HttpResponse {
        panic!("the reason, which is nobody's business")
    }

    #[actix_web::test]
    async fn a_handler_that_panics_is_a_500_problem_and_is_counted() {
        let metrics = Metrics::new().unwrap();
        let app = init_service(
            App::new()
                .app_data(web::Data::new(metrics.clone()))
                .app_data(web::Data::new(HttpConfig::default()))
                .service(ResourceBuilder::new(PANICS).on(Method::GET, panics).build())
                .wrap(from_fn(write_problems)),
        )
        .await;
        for count in 1..=2 {
            let request = TestRequest::get().uri(PANICS).to_request();
            let response = call_service(&app, request).await;
            assert_eq!(response.status(), 500);
            let body = read_body(response).await;
            let text = std::str::from_utf8(&body).unwrap();
            assert!(text.contains("/problems/internal"), "{text}");
            assert!(!text.contains("nobody's business"), "{text}");
            assert_eq!(metrics.handler_panics.get(), count);
        }
    }
}
