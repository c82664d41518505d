//! A customer places an order: the heart of the service.
//!
//! Everything is in one transaction, so that it is there together or not at
//! all: the idempotency key, the stock that is taken, the order and its lines,
//! the event, the payment and expiry jobs, and the answer to the client. The charge itself
//! is not: it happens afterwards, in a job (`jobs/payment.rs`).
//!
//! While the transaction runs, everybody who wants one of its products waits. So
//! it has five statements and no more, sent in two batches: for each of these, one
//! round trip ([`pipeline`](crate::storage::pipeline)).
//!
//! | # | statement | why it can't be saved |
//! |---|---|---|
//! | 1 | `BEGIN` | |
//! | 2 | claim the key | must come before anything is locked: a repeated request waits here, holding nothing |
//! | 3 | lock the products | in id order, so that two orders never wait for each other in a circle; prices and stock are decided on in Rust |
//! | | *the first wait* | |
//! | 4 | write it all down | six tables in one statement (`place_order_statement`) |
//! | 5 | `COMMIT` | |
//! | | *the second wait* | |
//!
//! For the same reason it is worked on where the connections live, not on the worker
//! that the request came to ([`run_on_db_runtime`](crate::storage::database::Database::run_on_db_runtime)).
//!
//! A repeated request has five as well: the claim finds the key used, nothing is
//! locked, and the fourth reads the stored answer.
//!
//! See it break: `tests/api/orders/races.rs` (50 clients and the last 10 units, 20
//! identical requests, opposite orders), `tests/api/orders/idempotency.rs`, and
//! `order_takes_five_statements_and_two_waits` in `tests/api/storage/round_trips.rs`.

use diesel_async::AsyncPgConnection;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::clock::current_time;
use super::commit_outcome::finish;
use super::{Services, UseCaseError};
use crate::config::OrdersConfig;
use crate::domain::basket::Basket;
use crate::domain::event::OrderEvent;
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ids::{ProductId, UserId};
use crate::domain::money::Money;
use crate::domain::order::Order;
use crate::domain::order_status::OrderStatus;
use crate::events::payload;
use crate::storage::idempotency::{self, Claim, ClaimOutcome, StoredResponse};
use crate::storage::pipeline::Pipeline;
use crate::storage::{place_order_statement, stock};

/// What a customer asks for.
pub struct PlaceOrder {
    /// Customer who places the order.
    pub user_id: UserId,
    /// Products and quantities, without prices.
    pub basket: Basket,
    /// Names the request, so that it can be sent again.
    pub idempotency_key: IdempotencyKey,
}

/// The answer to the client.
#[derive(Debug)]
pub struct PlacedOrder {
    /// The order that was made.
    pub order_id: Uuid,
    /// The body of the answer, byte for byte the same each time.
    pub(crate) response_body: String,
    /// What the order costs; none if an earlier request with this key made it.
    total: Option<Money>,
}

impl PlacedOrder {
    /// Whether an earlier request with this key made the order.
    pub fn is_replayed(&self) -> bool {
        self.total.is_none()
    }
}

/// Places an order. `render` makes the body of the response, which is stored with the order.
///
/// # Errors
/// Returns:
/// - `OrderRejected`, `IdempotencyKeyReused`, `IdempotencyKeyInProgress`, `NotFound` if the user no
///   longer exists, `Overloaded`: nothing was committed.
/// - `Unavailable`, `DeadlineExceeded`, `Internal`: the commit is unknown, because the failure may
///   have come during `COMMIT`. The same request with the same key returns the result.
pub(crate) async fn place_order(
    services: &Services,
    request: PlaceOrder,
    render: fn(&Order) -> serde_json::Result<String>,
) -> Result<PlacedOrder, UseCaseError> {
    let (database, services) = (&services.database, services.clone());
    let work = async move {
        let mut invalidation = services.products.invalidation_guard();
        invalidation.add(request.basket.lines().iter().map(|line| line.product_id));
        let mut attempts = services.database_retry.attempts();
        let result = loop {
            match place_order_once(&services, &request, render).await {
                Err(UseCaseError::Aborted(_)) if attempts.wait_for_next().await => {}
                result => break result,
            }
        };
        let placed = finish(invalidation, result)?;
        if let Some(total) = placed.total {
            let order_value = &services.metrics.order_value_minor;
            let minor = u64::try_from(total.minor()).unwrap_or_default();
            order_value
                .with_label_values(&[total.currency().code()])
                .inc_by(minor);
            services.record_order_status(OrderStatus::Pending);
        }
        services.job_notifier.notify();
        Ok(placed)
    };
    database.run_on_db_runtime(work).await?
}

async fn place_order_once(
    services: &Services,
    request: &PlaceOrder,
    render: fn(&Order) -> serde_json::Result<String>,
) -> Result<PlacedOrder, UseCaseError> {
    let mut conn = services.database.connection().await?;
    place_order_on(&mut conn, &services.orders, request, render).await
}

/// Places an order on a connection of the caller's, without metrics, cache and notification.
///
/// # Errors
/// Returns the errors of `place_order`.
pub async fn place_order_on(
    conn: &mut AsyncPgConnection,
    config: &OrdersConfig,
    request: &PlaceOrder,
    render: impl Fn(&Order) -> serde_json::Result<String>,
) -> Result<PlacedOrder, UseCaseError> {
    let mut transaction = Pipeline::new(conn);
    let result = run_transaction(&mut transaction, config, request, render).await;
    transaction.end().await;
    result
}

async fn run_transaction(
    transaction: &mut Pipeline<'_>,
    config: &OrdersConfig,
    request: &PlaceOrder,
    render: impl Fn(&Order) -> serde_json::Result<String>,
) -> Result<PlacedOrder, UseCaseError> {
    let now = current_time();
    let fingerprint = hash_basket(&request.basket);
    let claim = Claim {
        user_id: request.user_id,
        key: &request.idempotency_key,
        fingerprint: &fingerprint,
        now,
        expires_at: now + config.idempotency_key_ttl,
        wait: config.idempotency_wait_timeout,
    };
    let lines = request.basket.lines();
    let product_ids: Vec<ProductId> = lines.iter().map(|line| line.product_id).collect();
    let (claim_outcome, locked_products) = transaction
        .begin(
            async |conn| idempotency::try_claim(conn, &claim).await,
            async |conn| stock::lock_if_claimed(conn, &product_ids, &claim).await,
        )
        .await?;
    match claim_outcome? {
        ClaimOutcome::Claimed => {
            let order = Order::place(request.user_id, &request.basket, &locked_products?, now)?;
            let response_body = render(&order)?;
            insert_order(transaction, config, request, order, response_body).await
        }
        ClaimOutcome::AlreadyUsed => {
            locked_products?;
            let stored = transaction
                .commit(async |conn| idempotency::find_response(conn, &claim).await)
                .await?;
            // The claim has locked the row, so it exists; if it did not, a retry would claim the key.
            let stored = stored.ok_or(UseCaseError::IdempotencyKeyInProgress)?;
            replay(stored, &fingerprint)
        }
        ClaimOutcome::InProgress => Err(UseCaseError::IdempotencyKeyInProgress),
    }
}

async fn insert_order(
    transaction: &mut Pipeline<'_>,
    config: &OrdersConfig,
    request: &PlaceOrder,
    order: Order,
    response_body: String,
) -> Result<PlacedOrder, UseCaseError> {
    let event_data = payload::to_json(&order)?;
    let event = OrderEvent::status_changed(order.status, order.id, event_data, order.created_at);
    transaction
        .commit(async |conn| {
            place_order_statement::insert(
                conn,
                &order,
                &event,
                &request.idempotency_key,
                &response_body,
                config.payment_window,
            )
            .await
        })
        .await?;
    Ok(PlacedOrder {
        order_id: order.id.0,
        response_body,
        total: Some(order.total),
    })
}

fn replay(stored: StoredResponse, fingerprint: &Fingerprint) -> Result<PlacedOrder, UseCaseError> {
    if stored.fingerprint != fingerprint {
        return Err(UseCaseError::IdempotencyKeyReused);
    }
    Ok(PlacedOrder {
        order_id: stored.resource_id,
        response_body: stored.response_body,
        total: None,
    })
}

fn hash_basket(basket: &Basket) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update("place_order");
    for line in basket.lines() {
        hash.update(line.product_id.0);
        hash.update(line.quantity.get().to_be_bytes());
    }
    hash.finalize().into()
}
