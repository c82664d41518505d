//! A customer looks at their orders.

use super::database_retry::read_with_retry;
use super::{Services, UseCaseError};
use crate::domain::ids::{OrderId, UserId};
use crate::domain::order::Order;
use crate::domain::order_status::OrderStatus;
use crate::domain::page::{Page, PageRequest};
use crate::storage::{Connection, orders};

/// A page of the user's own orders, newest first.
pub(crate) async fn list(
    services: &Services,
    user_id: UserId,
    status: Option<OrderStatus>,
    page: PageRequest,
) -> Result<Page<Order>, UseCaseError> {
    let query =
        |mut conn: Connection| async move { orders::list(&mut conn, user_id, status, page).await };
    Ok(read_with_retry(&services.database, &services.database_retry, query).await?)
}

/// One order of the user's own; somebody else's does not exist for them.
///
/// # Errors
/// Returns `NotFound` if the user has no order with this id.
pub(crate) async fn get(
    services: &Services,
    user_id: UserId,
    id: OrderId,
) -> Result<Order, UseCaseError> {
    let query = |mut conn: Connection| async move { orders::find(&mut conn, id).await };
    read_with_retry(&services.database, &services.database_retry, query)
        .await?
        .filter(|order| order.user_id == user_id)
        .ok_or(UseCaseError::NotFound("order"))
}
