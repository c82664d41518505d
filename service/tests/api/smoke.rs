//! The main story, from beginning to end.

use crate::support::app::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn customer_places_order_and_it_is_paid() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let order = app
        .place_order(&customer, &[(&product, 2)])
        .await
        .expect(201);
    assert_eq!(order["status"], "pending");
    let paid = app.wait_for_order_status(&customer, &order, "paid").await;
    assert_eq!(paid["total"]["amount_minor"], 500);
    assert_eq!(app.stock(&product).await, 3);
    app.finish().await;
}
