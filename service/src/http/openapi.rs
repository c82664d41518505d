//! The OpenAPI 3.1 document, generated from the handlers and the wire shapes.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::handlers::{orders, products, sessions, users};
use super::problem::ProblemBody;

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Orderly",
        description = "A reference user/order microservice. Every answer but a good one is a problem \
                       (RFC 9457, application/problem+json).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        users::register, users::view_me, users::change_me, sessions::log_in,
        products::list, products::get, products::create, products::change, products::adjust_stock,
        orders::place, orders::list, orders::get, orders::cancel, orders::ship,
    ),
    components(schemas(ProblemBody)),
    modifiers(&BearerSecurity, &DefaultProblemResponse),
)]
pub(crate) struct ApiDoc;

/// The document as indented JSON.
///
/// # Errors
/// None that the generated document could cause.
pub fn document() -> serde_json::Result<String> {
    ApiDoc::openapi().to_pretty_json()
}

struct BearerSecurity;

impl Modify for BearerSecurity {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The access_token of POST /v1/sessions"))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Says of every operation that any other answer is a problem: 401, 415, 422,
/// 503 and so on need not be repeated at each.
struct DefaultProblemResponse;

impl Modify for DefaultProblemResponse {
    fn modify(&self, document: &mut Document) {
        let problem = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description("A problem")
            .content("application/problem+json", problem)
            .build();
        for path in document.paths.paths.values_mut() {
            let operations = [&mut path.get, &mut path.post, &mut path.patch];
            for operation in operations.into_iter().flatten() {
                operation
                    .responses
                    .responses
                    .insert("default".to_owned(), RefOr::T(response.clone()));
            }
        }
    }
}
