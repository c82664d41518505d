//! The OpenAPI document says what the service does, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use orderly::http::openapi;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::fixtures::id;

pub fn document() -> Value {
    serde_json::from_str(&openapi::document().unwrap()).unwrap()
}

/// The documented methods of each path, in the order of their names.
pub fn operations(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            (path.clone(), methods.map(|m| m.to_uppercase()).collect())
        })
        .collect()
}

/// A path with its id filled in by something that is there.
struct Examples {
    product: Value,
    order: Value,
}

impl Examples {
    fn fill(&self, path: &str) -> String {
        let example = match path {
            path if path.starts_with("/v1/products") => &self.product,
            _ => &self.order,
        };
        path.replace("{id}", id(example))
    }
}

async fn examples(app: &TestApp, admin: &str) -> Examples {
    let product = app.create_product(admin, 250, 5).await;
    let order = app.place_order(admin, &[(&product, 1)]).await.expect(201);
    Examples { product, order }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_operation_exists() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let examples = examples(&app, &admin).await;
    for (path, methods) in operations(&document()) {
        for method in methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = app.request(method.clone(), &examples.fill(&path));
            let response = send(request, &admin).await;
            let exists = !matches!(response.status, 404 | 405 | 500..);
            assert!(
                exists,
                "{method} {path}: {} {}",
                response.status, response.text
            );
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undocumented_methods_return_405_with_allow_header() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let examples = examples(&app, &admin).await;
    let mut all = operations(&document());
    all.insert("/openapi.json".to_owned(), ["GET".to_owned()].into());
    for (path, mut allowed) in all {
        // HEAD comes with GET (RFC 9110, section 9.3.2) and is not documented.
        if allowed.contains("GET") {
            allowed.insert("HEAD".to_owned());
        }
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW",
        ] {
            if allowed.contains(method) {
                continue;
            }
            let name = Method::from_bytes(method.as_bytes()).unwrap();
            let response = send(app.request(name, &examples.fill(&path)), &admin).await;
            assert_eq!(response.status, 405, "{method} {path}: {}", response.text);
            if method != "HEAD" {
                response.expect_problem(405, "method-not-allowed");
            }
            let allow = response.header("allow").unwrap();
            let listed: BTreeSet<String> = allow.split(", ").map(str::to_owned).collect();
            assert_eq!(listed, allowed, "{method} {path}");
        }
    }
    app.finish().await;
}

#[test]
fn documents_parameters_and_responses_of_every_operation() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let operation_name = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{operation_name}: {id} is there twice");
            let summary = operation["summary"].as_str().unwrap();
            assert!(!summary.is_empty(), "{operation_name}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{operation_name}"
            );
            let problem = &responses["default"]["content"]["application/problem+json"];
            assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem");
            let has_id = operation["parameters"]
                .as_array()
                .is_some_and(|all| all.iter().any(|p| p["in"] == "path" && p["name"] == "id"));
            assert_eq!(has_id, path.contains("{id}"), "{operation_name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_which_operations_need_token() {
    let app = TestApp::start().await;
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let filled = path.replace("{id}", &Uuid::now_v7().to_string());
            let response = send(app.request(name, &filled), "").await;
            let secured = !operation["security"].is_null();
            assert_eq!(
                response.status == 401,
                secured,
                "{method} {path}: {}",
                response.text
            );
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_openapi_document_and_docs_page() {
    let app = TestApp::start().await;
    let document_response = app.get("/openapi.json", "").await;
    assert_eq!(
        document_response.header("content-type"),
        Some("application/json")
    );
    // What `orderly openapi` prints.
    assert_eq!(document_response.expect(200), document());

    let page = app.get("/docs/", "").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.text.contains("swagger-ui"));
    let script = app.get("/docs/swagger-initializer.js", "").await;
    assert_eq!(script.status, 200);
    assert!(script.text.contains("/openapi.json"), "{}", script.text);
    // The client follows the redirect from the path that people type.
    assert_eq!(app.get("/docs", "").await.text, page.text);
    app.finish().await;
}
