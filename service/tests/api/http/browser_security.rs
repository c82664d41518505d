//! What answers say to browsers: which headers, and to which pages.

use std::collections::BTreeSet;

use reqwest::Method;

use super::openapi::{document, operations};
use crate::support::app::{TestApp, send};
use crate::support::fixtures::id;
use crate::support::response::TestResponse;

const SHOP: &str = "https://shop.example";

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_security_headers() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let product_path = format!("/v1/products/{}", id(&product));
    for (path, status, cache) in [
        ("/v1/users/me", 200, Some("no-store")),
        ("/v1/orders", 200, Some("no-store")),
        ("/v1/products", 200, None),
        (&product_path, 200, None),
        ("/openapi.json", 200, None),
        ("/docs/", 200, None),
        ("/docs/swagger-ui-bundle.js", 200, None),
        ("/nothing", 404, Some("no-store")),
    ] {
        let response = app.get(path, &admin).await;
        assert_eq!(response.status, status, "{path}");
        assert_eq!(
            response.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            response.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(response.header("cache-control"), cache, "{path}");
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(
            policy.contains("script-src 'self'"),
            path.starts_with("/docs/"),
            "{path}"
        );
        // Said over plain HTTP it means nothing, and may be meant by somebody in between.
        assert_eq!(response.header("strict-transport-security"), None, "{path}");
    }
    app.finish().await;
}

/// The policy for `/docs` allows files, but no script within the page.
#[tokio::test(flavor = "multi_thread")]
async fn docs_page_has_no_inline_script() {
    let app = TestApp::start().await;
    let page = app.get("/docs/", "").await.text;
    for script in page.split("<script").skip(1) {
        let (attributes, rest) = script.split_once('>').unwrap();
        let (inline_script, _) = rest.split_once("</script>").unwrap();
        assert!(attributes.contains("src=\"./"), "{attributes}");
        assert_eq!(inline_script.trim(), "");
    }
    app.finish().await;
}

async fn preflight(app: &TestApp, origin: &str, method: &str, header: &str) -> TestResponse {
    let request = app
        .request(Method::OPTIONS, "/v1/orders")
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", header);
    send(request, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn allows_configured_cors_origins_only() {
    let app = TestApp::start_with(|settings| {
        settings.http.cors_origins = vec![SHOP.into(), "http://localhost:3000".into()];
    })
    .await;
    let allowed = preflight(&app, SHOP, "POST", "authorization,idempotency-key").await;
    assert_eq!(allowed.status, 200, "{}", allowed.text);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(SHOP));
    assert_eq!(allowed.header("access-control-max-age"), Some("3600"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let methods = allowed.header("access-control-allow-methods").unwrap();
    let methods: BTreeSet<String> = methods.split(", ").map(str::to_owned).collect();
    let mut documented: BTreeSet<String> =
        operations(&document()).into_values().flatten().collect();
    documented.insert("HEAD".to_owned());
    assert_eq!(methods, documented);

    for (origin, method, header) in [
        ("https://evil.example", "POST", "authorization"),
        ("https://shop.example.evil.example", "POST", "authorization"),
        ("http://shop.example", "POST", "authorization"),
        ("null", "POST", "authorization"),
        (SHOP, "BREW", "authorization"),
        (SHOP, "POST", "x-forwarded-for"),
    ] {
        let rejected = preflight(&app, origin, method, header).await;
        rejected.expect_problem(400, "bad-request");
        assert_ne!(rejected.header("access-control-allow-origin"), Some("*"));
        if origin != SHOP {
            assert_eq!(
                rejected.header("access-control-allow-origin"),
                None,
                "{origin}"
            );
        }
    }

    let send_from = async |origin: &str| {
        let request = app
            .request(Method::GET, "/v1/orders")
            .header("origin", origin);
        send(request, "").await
    };
    // A refusal can be read by the page too, or nobody would know why.
    let response = send_from(SHOP).await;
    response.expect_problem(401, "unauthenticated");
    assert_eq!(response.header("access-control-allow-origin"), Some(SHOP));
    let exposed = response.header("access-control-expose-headers").unwrap();
    for name in ["etag", "location", "ratelimit", "retry-after", "x-stale"] {
        assert!(exposed.to_lowercase().contains(name), "{name}: {exposed}");
    }
    let other = send_from("https://evil.example").await;
    assert_eq!(other.header("access-control-allow-origin"), None);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn allows_no_cors_origin_by_default() {
    let app = TestApp::start().await;
    let response = preflight(&app, SHOP, "POST", "authorization").await;
    response.expect_problem(405, "method-not-allowed");
    assert_eq!(response.header("access-control-allow-origin"), None);
    app.finish().await;
}
