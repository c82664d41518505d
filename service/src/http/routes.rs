//! The endpoints of the API, one line each. The path of a request begins here.
//!
//! To add an endpoint:
//!
//! 1. Write the use case in `usecases/`.
//! 2. Describe the request and response bodies in `http/wire/`.
//! 3. Write the handler in `http/handlers/`. Its `#[utoipa::path]` annotation is the only place for
//!    path and method.
//! 4. Add a line to [`endpoints`]. A write without a token names its rate-limit class.
//! 5. Test the behaviour over HTTP in `tests/api`.
//!
//! Routes, 405 with `Allow`, OpenAPI document, CORS methods, rate-limit class and `Cache-Control`
//! follow from this: see [`super::endpoint`]. Any other path is 404.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use actix_web::{HttpResponse, Route, web};
use utoipa_swagger_ui::{self as swagger_ui, SwaggerUi};

use super::endpoint::{Endpoint, endpoint};
use super::handlers::{orders, products, sessions, users};
use super::middleware::request_head::ListenerMethods;
use super::openapi;
use super::problem::{Problem, ProblemKind};
use super::resource::resource;
use crate::limits::RequestClass;

/// Path of the documentation page.
pub(super) const DOCS_PATH: &str = "/docs/";
/// Path of the OpenAPI document.
pub(super) const OPENAPI_PATH: &str = "/openapi.json";

/// Pages beside the endpoints, each with the statuses of its responses.
pub(super) const PAGES: [(&str, &[&str]); 3] = [
    (OPENAPI_PATH, &["200"]),
    ("/docs", &["307"]),
    ("/docs/{_:.*}", &["200", "404"]),
];

/// Returns every endpoint of the API.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint!(users::register).limited_as(RequestClass::Register),
        endpoint!(users::view_me),
        endpoint!(users::change_me),
        endpoint!(sessions::log_in).limited_as(RequestClass::Login),
        endpoint!(products::list),
        endpoint!(products::create),
        endpoint!(products::get),
        endpoint!(products::change),
        endpoint!(products::adjust_stock),
        endpoint!(orders::list),
        endpoint!(orders::place),
        endpoint!(orders::get),
        endpoint!(orders::cancel),
        endpoint!(orders::ship),
    ]
}

/// Adds the endpoints and the documentation to an actix application.
pub(super) fn configure(app: &mut web::ServiceConfig, endpoints: Vec<Endpoint>) {
    let document = web::Data::new(openapi::build(&endpoints));
    let serve_document = move || {
        let document = document.clone();
        async move { HttpResponse::Ok().json(document.get_ref()) }
    };
    app.app_data(web::Data::new(listener_methods(&endpoints)));
    let mut resources = routes_by_path(endpoints);
    resources.insert(
        OPENAPI_PATH.to_owned(),
        vec![(Method::GET, web::to(serve_document))],
    );
    for (path, routes) in resources {
        app.service(resource(path, routes));
    }
    app.service(web::redirect("/docs", DOCS_PATH))
        .service(
            SwaggerUi::new(format!("{DOCS_PATH}{{_:.*}}"))
                .config(swagger_ui::Config::from(OPENAPI_PATH)),
        )
        .default_service(web::to(unknown_route));
}

/// Returns the methods of all endpoints. `HEAD` comes with `GET`.
fn listener_methods(endpoints: &[Endpoint]) -> ListenerMethods {
    let methods = endpoints.iter().map(|endpoint| endpoint.method.as_str());
    let methods: BTreeSet<&str> = methods.chain(["HEAD"]).collect();
    ListenerMethods(Vec::from_iter(methods).join(", "))
}

/// Groups the routes by path. The router uses the first path that fits, and `{` sorts behind every
/// letter: a literal path such as `/v1/users/me` comes before `/v1/users/{id}`.
fn routes_by_path(endpoints: Vec<Endpoint>) -> BTreeMap<String, Vec<(Method, Route)>> {
    let mut routes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Endpoint {
        path,
        method,
        route,
        ..
    } in endpoints
    {
        routes.entry(path).or_default().push((method, route));
    }
    routes
}

async fn unknown_route() -> Result<HttpResponse, Problem> {
    Err(Problem::new(
        ProblemKind::NotFound,
        "there is nothing at this path; /openapi.json lists what there is",
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::http::endpoint::operations;
    use std::fs;

    #[test]
    fn every_annotated_handler_is_endpoint() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/handlers");
        let annotations: usize = fs::read_dir(folder)
            .unwrap()
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .map(|source| source.matches("#[utoipa::path(").count())
            .sum();
        assert_eq!(annotations, endpoints().len());
    }

    #[test]
    fn every_endpoint_has_own_path_and_method() {
        let mut names = BTreeSet::new();
        for Endpoint { method, path, .. } in endpoints() {
            let name = format!("{method} {path}");
            assert!(names.insert(name.clone()), "{name} is declared twice");
        }
    }

    #[test]
    fn literal_path_comes_before_template() {
        let mut template = endpoint!(products::get);
        template.path = "/v1/users/{id}".to_owned();
        let routes = routes_by_path(vec![template, endpoint!(users::view_me)]);
        let paths: Vec<String> = routes.into_keys().collect();
        assert_eq!(paths, ["/v1/users/me", "/v1/users/{id}"]);
    }

    /// A client without a token is limited by its address, and such a write costs a hash.
    #[test]
    fn writes_without_token_have_strict_class() {
        for mut endpoint in endpoints() {
            let (path, method, operation) = operations(&mut endpoint.document).next().unwrap();
            let is_open_write = method != Method::GET && operation.security.is_none();
            let is_strict = endpoint.rate_limit.is_strict();
            assert_eq!(is_strict, is_open_write, "{method} {path}");
        }
    }
}
