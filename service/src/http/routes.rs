//! The route table: every path of the API, its methods, and who answers.
//!
//! This is where the path of a request begins. A path with a method that is not
//! here is 405 with `Allow`, any other path is 404. `tests/api/http/openapi.rs`
//! compares the table with the OpenAPI document.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use utoipa::OpenApi as _;
use utoipa_swagger_ui::{self as swagger_ui, SwaggerUi};

use super::handlers::{orders, products, sessions, users};
use super::openapi::ApiDoc;
use super::problem::{Problem, ProblemKind};
use super::resource::ResourceBuilder;

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
