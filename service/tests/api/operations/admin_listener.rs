//! The admin listener, where it is asked for what it has not.

use crate::support::app::TestApp;
use crate::support::response::TestResponse;

#[tokio::test(flavor = "multi_thread")]
async fn unknown_admin_path_returns_problem_with_known_paths() {
    let app = TestApp::start().await;
    for path in ["/", "/health", "/livez/", "/v1/products"] {
        let response = app.get_admin(path).await;
        let problem = response.expect(404);
        let content_type = response.header("content-type");
        assert_eq!(content_type, Some("application/problem+json"), "{path}");
        let kind = "https://orderly.example/problems/not-found";
        assert_eq!(
            (&problem["type"], &problem["instance"]),
            (&kind.into(), &path.into())
        );
        let detail = problem["detail"].as_str().unwrap();
        let named: Vec<&str> = detail
            .split([' ', ','])
            .filter(|word| word.starts_with('/'))
            .collect();
        let known = ["/livez", "/startupz", "/readyz", "/healthz", "/metrics"];
        assert_eq!(named, known, "{detail}");
        for path in named {
            assert_eq!(app.get_admin(path).await.status, 200, "{path}");
        }
        // Nothing is logged of it that such an id could find.
        assert!(problem.get("trace_id").is_none(), "{problem}");
    }
    let metrics = format!("http://{}/metrics", app.app.admin_address);
    let response = TestResponse::read(app.client.post(metrics).send().await.unwrap()).await;
    let problem = response.expect(404);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("there is only GET of "), "{detail}");
    app.finish().await;
}
