//! `/v1/orders`

use actix_web::http::header::{self, ContentType};
use actix_web::{HttpResponse, web};

use crate::domain::ids::OrderId;
use crate::domain::order::Order;
use crate::domain::page::List;
use crate::http::extract::{
    AuthenticatedAdmin, AuthenticatedUser, IdempotencyKeyHeader, JsonBody, PathId, Query,
};
use crate::http::problem::Problem;
use crate::http::wire::orders::{OrderResponse, PlaceOrderRequest};
use crate::http::wire::page::{ListOrdersQuery, OrderPage};
use crate::usecases::place_order::{self, PlaceOrder};
use crate::usecases::{Services, cancel_order, ship_order, view_orders};

/// Place an order. Send it again with the same key, and the answer is the same.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    post, path = "/v1/orders", operation_id = "place_order", tag = "orders", security(("bearer" = [])),
    params(("idempotency-key" = String, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "Names this request, for 24 hours by default (orders.idempotency_key_ttl); a fresh UUID will do")),
    request_body = PlaceOrderRequest,
    responses(
        (status = 201, description = "Placed; its payment is on the way", body = OrderResponse,
            headers(("location" = String), ("idempotent-replayed" = Option<String>, description = "`true` if the key was seen before"))),
        (status = 400, description = "The Idempotency-Key is missing"),
        (status = 409, description = "Not enough stock, or a request with this key still runs"),
        (status = 422, description = "Fields at fault, or the key was used for another body"),
    )
)]
pub(crate) async fn place(
    services: web::Data<Services>,
    AuthenticatedUser(user_id): AuthenticatedUser,
    IdempotencyKeyHeader(key): IdempotencyKeyHeader,
    JsonBody(request): JsonBody<PlaceOrderRequest>,
) -> Result<HttpResponse, Problem> {
    let basket = request.check()?;
    let request = PlaceOrder {
        user_id,
        basket,
        idempotency_key: key,
    };
    let placed = place_order::place_order(&services, request, render_order).await?;
    let mut response = HttpResponse::Created();
    response
        .insert_header((header::LOCATION, format!("/v1/orders/{}", placed.order_id)))
        .insert_header(ContentType::json());
    if placed.is_replayed() {
        response.insert_header(("idempotent-replayed", "true"));
    }
    Ok(response.body(placed.response_body))
}

fn render_order(order: &Order) -> serde_json::Result<String> {
    serde_json::to_string(&OrderResponse::from(order))
}

/// A page of your orders, newest first.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    get, path = "/v1/orders", operation_id = "list_orders", tag = "orders", security(("bearer" = [])), params(ListOrdersQuery),
    responses((status = 200, description = "A page", body = OrderPage))
)]
pub(crate) async fn list(
    services: web::Data<Services>,
    AuthenticatedUser(user_id): AuthenticatedUser,
    Query(query): Query<ListOrdersQuery>,
) -> Result<HttpResponse, Problem> {
    let (page, status) = query.check()?;
    let page = view_orders::list(&services, user_id, status, page).await?;
    Ok(HttpResponse::Ok().json(OrderPage {
        items: page.items.iter().map(OrderResponse::from).collect(),
        next_cursor: page.next_cursor.map(|cursor| cursor.encode(List::Orders)),
    }))
}

/// One of your orders.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    get, path = "/v1/orders/{id}", operation_id = "get_order", tag = "orders", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The order", body = OrderResponse),
        (status = 404, description = "No such order of yours"),
    )
)]
pub(crate) async fn get(
    services: web::Data<Services>,
    AuthenticatedUser(user_id): AuthenticatedUser,
    PathId(id): PathId,
) -> Result<HttpResponse, Problem> {
    let order = view_orders::get(&services, user_id, OrderId(id)).await?;
    Ok(HttpResponse::Ok().json(OrderResponse::from(&order)))
}

/// Cancel one of your orders before it is paid.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "Cancelled", body = OrderResponse),
        (status = 404, description = "No such order of yours"),
        (status = 409, description = "It is paid already, or over"),
    )
)]
pub(crate) async fn cancel(
    services: web::Data<Services>,
    AuthenticatedUser(user_id): AuthenticatedUser,
    PathId(id): PathId,
) -> Result<HttpResponse, Problem> {
    let order = cancel_order::cancel_order(&services, user_id, OrderId(id)).await?;
    Ok(HttpResponse::Ok().json(OrderResponse::from(&order)))
}

/// Mark a paid order as shipped. For admins.
///
/// # Errors
/// The problems below.
#[utoipa::path(
    post, path = "/v1/orders/{id}/ship", operation_id = "ship_order", tag = "orders", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "Shipped", body = OrderResponse),
        (status = 403, description = "The role is not admin"),
        (status = 404, description = "No such order"),
        (status = 409, description = "It is not paid"),
    )
)]
pub(crate) async fn ship(
    services: web::Data<Services>,
    _admin: AuthenticatedAdmin,
    PathId(id): PathId,
) -> Result<HttpResponse, Problem> {
    let order = ship_order::ship_order(&services, OrderId(id)).await?;
    Ok(HttpResponse::Ok().json(OrderResponse::from(&order)))
}
