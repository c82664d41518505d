//! What changes while a replica stops is told to the others, too.

use std::time::Duration;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::cache::disable_cache_expiry;
use crate::support::eventually::eventually;
use crate::support::fault_proxy::{start_redis_proxy, use_redis_proxy};
use crate::support::fixtures::id;
use crate::support::sql::query_number;

/// The session of the outbox relay, of which there is one on a database.
const RELAY: &str = "SELECT coalesce(max(pid), 0)::bigint AS value FROM pg_locks \
    JOIN pg_database ON pg_database.oid = database \
    WHERE locktype = 'advisory' AND granted AND datname = current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn other_replicas_see_stock_restored_during_shutdown() {
    let redis = start_redis_proxy().await;
    let mut app = TestApp::start_with(|settings| {
        disable_cache_expiry(settings);
        settings.cache.local_ttl = Duration::from_millis(1);
        use_redis_proxy(&redis, settings);
        settings.payment_jobs.lease_duration = Duration::from_mins(5);
        settings.shutdown.jobs_timeout = Duration::from_secs(30);
    })
    .await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let customer = app.register_customer().await;
    app.set_faults(&json!({"error_rate": 1.0})).await;
    app.place_order(&customer, &[(&product, 2)])
        .await
        .expect(201);
    let row = format!("SELECT 1 FROM products WHERE id = '{}'", id(&product));
    let row_lock = app.database.lock_rows(&row).await;
    app.set_faults(&json!({"decline_rate": 1.0})).await;
    // Declined, and about to put the goods back.
    app.database.wait_for_lock_waiters(1).await;
    app.wait_until_in_redis(&product).await;

    let mut conn = app.database.connect().await;
    let relay = query_number(&mut conn, RELAY).await;
    let other = app.start_replica().await;
    let stopping = std::mem::replace(&mut app.app, other);
    let stopped = tokio::spawn(stopping.stop());
    eventually("the other jobs have ended", async || {
        let now = query_number(&mut conn, RELAY).await;
        (now != 0 && now != relay).then_some(())
    })
    .await;
    row_lock.release().await;
    stopped.await.unwrap().unwrap();
    eventually("the goods are there again", async || {
        (app.stock(&product).await == 5).then_some(())
    })
    .await;
    app.finish().await;
}
