//! Adjusting stock: by how much it may change, and what two changes at once do.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::TestApp;
use crate::support::fixtures::id;

#[tokio::test(flavor = "multi_thread")]
async fn adjusts_stock_within_bounds() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let path = format!("/v1/products/{}/stock", id(&product));
    let adjust = async |delta: Value| app.post(&path, &admin, &json!({ "delta": delta })).await;

    for (delta, stock, version) in [(3, 8, 2), (-8, 0, 3), (1_000_000_000, 1_000_000_000, 4)] {
        let adjusted = adjust(json!(delta)).await.expect(200);
        assert_eq!(adjusted["stock"], stock);
        assert_eq!(adjusted["version"], version);
    }
    for too_large in [1, 1_000_000_000] {
        adjust(json!(too_large))
            .await
            .expect_invalid(&[("/delta", "out_of_range")]);
    }
    adjust(json!(-1_000_000_000)).await.expect(200);
    for below in [-1, -1_000_000_000] {
        adjust(json!(below))
            .await
            .expect_problem(409, "out-of-stock");
    }
    for (delta, code) in [
        (json!(0), "out_of_range"),
        (json!(1_000_000_001), "out_of_range"),
        (json!(-1_000_000_001), "out_of_range"),
        (json!(i64::MIN), "out_of_range"),
        (json!(1.5), "wrong_type"),
        (json!("1"), "wrong_type"),
        (json!(null), "wrong_type"),
    ] {
        adjust(delta).await.expect_invalid(&[("/delta", code)]);
    }
    assert_eq!(app.stock(&product).await, 0);
    let unknown_path = format!("/v1/products/{}/stock", Uuid::now_v7());
    app.post(&unknown_path, &admin, &json!({"delta": 1}))
        .await
        .expect_problem(404, "not-found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_stock_adjustments_all_apply() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    // Enough for all that is taken away, should nothing have been added by then.
    let product = app.create_product(&admin, 250, 10).await;
    let path = format!("/v1/products/{}/stock", id(&product));
    let (up, down) = (json!({"delta": 3}), json!({"delta": -1}));
    let all = (0..20).map(|n| app.post(&path, &admin, if n % 2 == 0 { &up } else { &down }));
    for response in futures_util::future::join_all(all).await {
        response.expect(200);
    }
    assert_eq!(app.stock(&product).await, 10 + 10 * 3 - 10);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_order_restores_stock_above_maximum() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 1_000_000_000).await;
    let customer = app.register_customer().await;
    app.set_faults(&json!({"error_rate": 1.0})).await;
    let order = app
        .place_order(&customer, &[(&product, 5)])
        .await
        .expect(201);
    let path = format!("/v1/products/{}/stock", id(&product));
    app.post(&path, &admin, &json!({"delta": 5}))
        .await
        .expect(200);

    let cancel = format!("/v1/orders/{}/cancel", id(&order));
    app.post(&cancel, &customer, &json!({})).await.expect(200);

    assert_eq!(app.stock(&product).await, 1_000_000_005);
    app.post(&path, &admin, &json!({"delta": 1}))
        .await
        .expect_invalid(&[("/delta", "out_of_range")]);
    app.post(&path, &admin, &json!({"delta": -5}))
        .await
        .expect(200);
    app.set_faults(&json!({})).await;
    app.finish().await;
}
