//! The OpenAPI 3.1 document, generated from the handlers and the wire shapes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use utoipa::OpenApi;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, Header, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder,
};

use super::endpoint::{Endpoint, operations};
use super::problem::{ProblemBody, ProblemKind};
use super::routes::endpoints;

/// The document without operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Orderly",
        description = "A reference user/order microservice. Every answer but a good one is a problem \
                       (RFC 9457, application/problem+json).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(ProblemBody))
)]
struct ApiInfo;

/// Returns the document as indented JSON.
///
/// # Errors
/// None that the generated document could cause.
pub fn document() -> serde_json::Result<String> {
    build(&endpoints()).to_pretty_json()
}

/// Returns the document of these endpoints.
pub(super) fn build(endpoints: &[Endpoint]) -> Document {
    let mut document = ApiInfo::openapi();
    for endpoint in endpoints {
        document.merge(endpoint.document.clone());
    }
    add_bearer_security(&mut document);
    add_problems(&mut document);
    document
}

fn add_bearer_security(document: &mut Document) {
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

const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// Responses of `middleware/`, one list per status.
const EVERY_OPERATION: &[&[ProblemKind]] = &[
    &[ProblemKind::BadRequest, ProblemKind::RepeatedHeader],
    &[
        ProblemKind::RequestTimeout,
        ProblemKind::RequestedTimeoutExceeded,
    ],
    &[ProblemKind::BodyTooLarge],
    &[ProblemKind::RateLimited],
    &[ProblemKind::Internal],
    &[ProblemKind::Overloaded, ProblemKind::Unavailable],
    &[ProblemKind::DeadlineExceeded],
];
/// Responses of `extract/json.rs`.
const WITH_BODY: &[&[ProblemKind]] = &[
    &[
        ProblemKind::MalformedJson,
        ProblemKind::BadRequest,
        ProblemKind::RepeatedHeader,
    ],
    &[
        ProblemKind::UnsupportedMediaType,
        ProblemKind::UnsupportedContentEncoding,
    ],
    &[ProblemKind::ValidationFailed],
];
/// Responses of `extract/query.rs`.
const WITH_QUERY: &[&[ProblemKind]] = &[&[ProblemKind::ValidationFailed]];
/// Responses of `extract/id.rs`.
const WITH_ID: &[&[ProblemKind]] = &[&[ProblemKind::NotFound]];
/// Responses of `extract/identity.rs`.
const WITH_TOKEN: &[&[ProblemKind]] = &[&[ProblemKind::Unauthenticated]];

/// Documents the problems of every operation.
///
/// The annotation of an operation describes the statuses of its use case; each error among them
/// gets the body of a problem. The problems of the middleware chain and of the extractors are added
/// to every operation that they apply to. A status that the annotation describes keeps that
/// description and only gains the headers. `default` stands for any further problem.
fn add_problems(document: &mut Document) {
    let mut shared = BTreeMap::new();
    for (_, _, operation) in operations(document) {
        add_problem_bodies(operation);
        for kinds in shared_problems(operation) {
            document_problem(operation, kinds, &mut shared);
        }
        let responses = &mut operation.responses.responses;
        responses.insert("default".to_owned(), problem("A problem").build().into());
    }
    let components = document.components.get_or_insert_default();
    components.responses.extend(shared);
}

fn add_problem_bodies(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
        {
            let media_type = PROBLEM_MEDIA_TYPE.to_owned();
            response.content.insert(media_type, problem_body().into());
        }
    }
}

fn shared_problems(operation: &Operation) -> Vec<&'static [ProblemKind]> {
    let has_parameter_in = |location: ParameterIn| {
        let mut parameters = operation.parameters.iter().flatten();
        parameters.any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == location))
    };
    // The first list of a status wins.
    [
        (WITH_BODY, operation.request_body.is_some()),
        (WITH_QUERY, has_parameter_in(ParameterIn::Query)),
        (WITH_ID, has_parameter_in(ParameterIn::Path)),
        (WITH_TOKEN, operation.security.is_some()),
        (EVERY_OPERATION, true),
    ]
    .into_iter()
    .filter(|(_, applies)| *applies)
    .flat_map(|(problems, _)| problems.iter().copied())
    .collect()
}

/// Documents one status of an operation; `shared` receives the response that the operation refers to.
fn document_problem(
    operation: &mut Operation,
    kinds: &[ProblemKind],
    shared: &mut BTreeMap<String, RefOr<Response>>,
) {
    let Some(first) = kinds.first() else { return };
    let mut response = problem(&descriptions(kinds));
    if let Some((name, header)) = header_of(*first) {
        response = response.header(name, header);
    }
    let response = response.build();
    let status = first.status().as_str().to_owned();
    match operation.responses.responses.entry(status) {
        Entry::Vacant(entry) => {
            let name = format!("{first:?}");
            entry.insert(Ref::from_response_name(&name).into());
            shared.insert(name, response.into());
        }
        Entry::Occupied(mut entry) => {
            if let RefOr::T(own) = entry.get_mut() {
                own.headers.extend(response.headers);
            }
        }
    }
}

fn problem(description: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_MEDIA_TYPE, problem_body())
}

fn problem_body() -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build()
}

/// The slug and title of each kind: "`overloaded`: Server overloaded; `unavailable`: ...".
fn descriptions(kinds: &[ProblemKind]) -> String {
    let texts: Vec<String> = (kinds.iter())
        .map(|kind| format!("`{}`: {}", kind.slug(), kind.title()))
        .collect();
    texts.join("; ")
}

fn header_of(kind: ProblemKind) -> Option<(&'static str, Header)> {
    let (name, schema_type, description) = match kind {
        ProblemKind::RateLimited | ProblemKind::Overloaded => (
            "retry-after",
            Type::Integer,
            "Seconds to wait before the next attempt",
        ),
        ProblemKind::Unauthenticated => (
            "www-authenticate",
            Type::String,
            "`Bearer`, with error=\"invalid_token\" if a token was rejected (RFC 6750)",
        ),
        _ => return None,
    };
    let schema = ObjectBuilder::new().schema_type(schema_type).build();
    let header = HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(description))
        .build();
    Some((name, header))
}
