//! The admin listener, where it is asked for what it has not.

use reqwest::Method;

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
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_head_responds_like_get_and_other_methods_with_405() {
    let app = TestApp::start().await;
    let send = async |method: Method, path: &str| {
        let url = format!("http://{}{path}", app.app.admin_address);
        TestResponse::read(app.client.request(method, url).send().await.unwrap()).await
    };
    for path in ["/livez", "/startupz", "/readyz", "/healthz", "/metrics"] {
        let get = send(Method::GET, path).await;
        let head = send(Method::HEAD, path).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let response = send(method.clone(), path).await;
            let problem = response.expect(405);
            let kind = "https://orderly.example/problems/method-not-allowed";
            assert_eq!(problem["type"], kind, "{method} {path}");
            assert_eq!(response.header("allow"), Some("GET, HEAD"));
        }
    }
    assert_eq!(send(Method::POST, "/nothing").await.status, 404);
    app.finish().await;
}
