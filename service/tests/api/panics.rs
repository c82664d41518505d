//! A panic costs one request and no more.

use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, HttpResponse, web};
use orderly::http::middleware::panics::catch_panics;
use orderly::http::middleware::problems::write_problems;
use orderly::telemetry::metrics::Metrics;

async fn panics() -> HttpResponse {
    panic!("the reason, which is nobody's business")
}

#[actix_web::test]
async fn a_handler_that_panics_is_a_500_problem_and_is_counted() {
    let metrics = Metrics::new().unwrap();
    let app = init_service(
        App::new()
            .app_data(web::Data::new(metrics.clone()))
            .service(
                web::resource("/panics")
                    .route(web::get().to(panics))
                    .wrap(from_fn(catch_panics)),
            )
            .wrap(from_fn(write_problems)),
    )
    .await;

    for count in 1..=2 {
        let request = TestRequest::get().uri("/panics").to_request();
        let response = call_service(&app, request).await;
        assert_eq!(response.status(), 500);
        let body = actix_web::test::read_body(response).await;
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("/problems/internal"), "{text}");
        assert!(!text.contains("nobody's business"), "{text}");
        assert_eq!(metrics.panics.get(), count);
    }
}
