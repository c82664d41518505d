//! `/v1/products`

use std::time::Duration;

use actix_web::http::header::{self, ETag, EntityTag, Header as _, IfMatch, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};

use crate::domain::ids::ProductId;
use crate::domain::page::List;
use crate::domain::product::Product;
use crate::http::extract::{AuthenticatedAdmin, JsonBody, PathId, Query};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::wire::page::{ListProductsQuery, ProductPage};
use crate::http::wire::products::{
    AdjustStockRequest, ChangeProductRequest, CreateProductRequest, ProductResponse,
};
use crate::usecases::{Services, adjust_stock, browse_products, change_product, create_product};

/// The header of an answer that stands in while the database is away.
const X_STALE: &str = "x-stale";

/// A page of products, oldest first.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    get, path = "/v1/products", operation_id = "list_products", tag = "products", params(ListProductsQuery),
    responses(
        (
            status = 200, description = "A page", body = ProductPage,
            headers(
                ("x-stale" = Option<String>, description = "`true`: the database is away, and this is the page as it was"),
                ("age" = Option<i64>, description = "With x-stale: how many seconds ago that was"),
            ),
        ),
    )
)]
pub(crate) async fn list(
    services: web::Data<Services>,
    Query(query): Query<ListProductsQuery>,
) -> Result<HttpResponse, Problem> {
    let (page, search) = query.check()?;
    let cached = browse_products::list(&services, search.as_deref(), page).await?;
    let page = cached.value;
    let mut response = HttpResponse::Ok();
    add_stale_headers(&mut response, cached.stale_age);
    Ok(response.json(ProductPage {
        items: page.items.into_iter().map(ProductResponse::from).collect(),
        next_cursor: page.next_cursor.map(|cursor| cursor.encode(List::Products)),
    }))
}

/// One product. Its `ETag` changes with every change of it.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    get, path = "/v1/products/{id}", operation_id = "get_product", tag = "products",
    params(
        ("id" = uuid::Uuid, Path),
        ("if-none-match" = Option<String>, Header, description = "An ETag that you have"),
    ),
    responses(
        (
            status = 200, description = "The product", body = ProductResponse,
            headers(
                ("etag" = String),
                ("x-stale" = Option<String>, description = "`true`: the database is away, and this is the product as it was"),
                ("age" = Option<i64>, description = "With x-stale: how many seconds ago that was"),
            ),
        ),
        (status = 304, description = "It is as you have it"),
        (status = 404, description = "No such product"),
    )
)]
pub(crate) async fn get(
    services: web::Data<Services>,
    PathId(id): PathId,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let cached = browse_products::get(&services, ProductId(id)).await?;
    let product = cached.value;
    let etag = entity_tag(product.version);
    let not_modified = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&etag)),
        Err(_) => false,
    };
    let mut response = if not_modified {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    add_stale_headers(&mut response, cached.stale_age);
    if not_modified {
        return Ok(response.insert_header(ETag(etag)).finish());
    }
    Ok(product_response(response, product))
}

/// Enter a product. For admins.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    post, path = "/v1/products", operation_id = "create_product", tag = "products", security(("bearer" = [])),
    request_body = CreateProductRequest,
    responses(
        (status = 201, description = "Entered", body = ProductResponse, headers(("location" = String), ("etag" = String))),
        (status = 403, description = "The role is not admin"),
        (status = 409, description = "The SKU is taken"),
    )
)]
pub(crate) async fn create(
    services: web::Data<Services>,
    _admin: AuthenticatedAdmin,
    JsonBody(request): JsonBody<CreateProductRequest>,
) -> Result<HttpResponse, Problem> {
    let product = create_product::create_product(&services, &request.check()?).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, format!("/v1/products/{}", product.id)));
    Ok(product_response(response, product))
}

/// Change a product's name or price, if it still is as you saw it. For admins.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    patch, path = "/v1/products/{id}", operation_id = "change_product", tag = "products", security(("bearer" = [])),
    params(
        ("id" = uuid::Uuid, Path),
        ("if-match" = String, Header, pattern = "^(\\*|\"[!#-~]*\")$", description = "The ETag that you saw"),
    ),
    request_body = ChangeProductRequest,
    responses(
        (status = 200, description = "Changed", body = ProductResponse, headers(("etag" = String))),
        (status = 403, description = "The role is not admin"),
        (status = 412, description = "It has changed since"),
        (status = 428, description = "If-Match is missing"),
    )
)]
pub(crate) async fn change(
    services: web::Data<Services>,
    _admin: AuthenticatedAdmin,
    PathId(id): PathId,
    request: HttpRequest,
    JsonBody(change): JsonBody<ChangeProductRequest>,
) -> Result<HttpResponse, Problem> {
    let expected = parse_if_match(&request)?;
    let change = change.check()?;
    let accepts = |version| match &expected {
        IfMatch::Any => true,
        IfMatch::Items(tags) => tags.iter().any(|tag| tag.strong_eq(&entity_tag(version))),
    };
    let product =
        change_product::change_product(&services, ProductId(id), accepts, &change).await?;
    Ok(product_response(HttpResponse::Ok(), product))
}

/// Add to a product's stock, or take from it. For admins.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    post, path = "/v1/products/{id}/stock", tag = "products", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path)),
    request_body = AdjustStockRequest,
    responses(
        (status = 200, description = "Adjusted", body = ProductResponse, headers(("etag" = String))),
        (status = 403, description = "The role is not admin"),
        (status = 409, description = "There is not that much stock"),
    )
)]
pub(crate) async fn adjust_stock(
    services: web::Data<Services>,
    _admin: AuthenticatedAdmin,
    PathId(id): PathId,
    JsonBody(request): JsonBody<AdjustStockRequest>,
) -> Result<HttpResponse, Problem> {
    let delta = request.check()?;
    let product = adjust_stock::adjust_stock(&services, ProductId(id), delta).await?;
    Ok(product_response(HttpResponse::Ok(), product))
}

/// Says so if an answer is an old one that stands in while the database is away.
/// HTTP once had `Warning: 110` for this (RFC 9111, section 5.5, which ended it);
/// `Age` it still has (section 5.1).
fn add_stale_headers(response: &mut HttpResponseBuilder, stale_age: Option<Duration>) {
    if let Some(age) = stale_age {
        response.insert_header((X_STALE, "true"));
        response.insert_header((header::AGE, age.as_secs().to_string()));
    }
}

fn entity_tag(version: i64) -> EntityTag {
    EntityTag::new_strong(version.to_string())
}

fn product_response(mut response: HttpResponseBuilder, product: Product) -> HttpResponse {
    response
        .insert_header(ETag(entity_tag(product.version)))
        .json(ProductResponse::from(product))
}

fn parse_if_match(request: &HttpRequest) -> Result<IfMatch, Problem> {
    if !request.headers().contains_key(header::IF_MATCH) {
        return Err(Problem::new(
            ProblemKind::PreconditionRequired,
            "send the product's ETag in the header if-match",
        ));
    }
    // What is no list of tags matches no version.
    Ok(IfMatch::parse(request).unwrap_or_else(|_| IfMatch::Items(Vec::new())))
}
