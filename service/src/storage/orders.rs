//! The tables `orders` and `order_lines`, except for the writing of a new order,
//! which is [`place_order_statement`](super::place_order_statement).

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::StorageError;
use super::rows::{OrderLineRow, OrderRow};
use super::schema::{order_lines, orders};
use super::statement::cacheable;
use crate::domain::ids::{OrderId, UserId};
use crate::domain::order::Order;
use crate::domain::order_status::{FailureReason, OrderStatus};
use crate::domain::page::{Page, PageRequest};

/// The order of that id.
pub(crate) async fn find(
    conn: &mut AsyncPgConnection,
    id: OrderId,
) -> Result<Option<Order>, StorageError> {
    let row = orders::table
        .find(id.0)
        .select(OrderRow::as_select())
        .first(conn)
        .await
        .optional()?;
    with_lines(conn, row).await
}

/// The order of that id, its row locked until the transaction ends: whoever
/// changes an order does this first.
///
/// # Errors
/// Returns [`StorageError::LockTimeout`] if somebody else keeps it locked.
pub(crate) async fn lock(
    conn: &mut AsyncPgConnection,
    id: OrderId,
) -> Result<Option<Order>, StorageError> {
    let row = orders::table
        .find(id.0)
        .for_no_key_update()
        .select(OrderRow::as_select())
        .first(conn)
        .await
        .optional()?;
    with_lines(conn, row).await
}

async fn with_lines(
    conn: &mut AsyncPgConnection,
    row: Option<OrderRow>,
) -> Result<Option<Order>, StorageError> {
    let Some(row) = row else { return Ok(None) };
    let lines = lines_of(conn, &[row.id]).await?;
    row.with_lines(lines.iter()).map(Some)
}

async fn lines_of(
    conn: &mut AsyncPgConnection,
    orders: &[Uuid],
) -> Result<Vec<OrderLineRow>, StorageError> {
    Ok(order_lines::table
        .filter(order_lines::order_id.eq_any(orders))
        .order((order_lines::order_id, order_lines::line_no))
        .select(OrderLineRow::as_select())
        .load(conn)
        .await?)
}

/// A page of a user's orders, newest first; two statements, whatever its size.
pub(crate) async fn list(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    status: Option<OrderStatus>,
    page: PageRequest,
) -> Result<Page<Order>, StorageError> {
    let mut query = orders::table
        .filter(orders::user_id.eq(user_id.0))
        .select(OrderRow::as_select())
        .order(orders::id.desc())
        .limit(i64::from(page.limit) + 1)
        .into_boxed();
    if let Some(status) = status {
        query = query.filter(orders::status.eq(status.as_str()));
    }
    if let Some(after) = page.after {
        query = query.filter(orders::id.lt(after.0));
    }
    let rows = query.load(conn).await?;
    let page = Page::from_overfetched(rows, page.limit, |row| row.id);
    let ids: Vec<Uuid> = page.items.iter().map(|row| row.id).collect();
    let lines = lines_of(conn, &ids).await?;
    page.try_map(|row| {
        let id = row.id;
        row.with_lines(lines.iter().filter(move |line| line.order_id == id))
    })
}

/// Saves the status of an order whose row is locked.
pub(crate) async fn set_status(
    conn: &mut AsyncPgConnection,
    order: &Order,
) -> Result<(), StorageError> {
    let update = diesel::update(orders::table.find(order.id.0)).set((
        orders::status.eq(order.status.as_str()),
        orders::failure_reason.eq(order.failure_reason.map(FailureReason::as_str)),
        orders::updated_at.eq(order.updated_at),
    ));
    cacheable(update).execute(conn).await?;
    Ok(())
}
