//! The demo's first page: where it leads is there, and who it says you may log in as, you may.

use std::collections::BTreeSet;

use super::project_files::{DEPLOYMENT_PATHS, numbers_after, read_files, root};

const PAGE: &str = "deploy/compose/edge/index.html";

fn text(file: &str) -> String {
    read_files(&[file]).pop().unwrap().text
}

/// What stands between the two, each time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts
        .filter_map(|piece| piece.split_once(after))
        .map(|(inside, _)| inside)
        .collect()
}

#[test]
fn linked_ports_match_published_ports() {
    let published: BTreeSet<String> = between(&text("docker-compose.yml"), "ports: [\"", "\"]")
        .into_iter()
        .flat_map(|port| numbers_after(port, "127.0.0.1:"))
        .collect();
    let linked: BTreeSet<_> = numbers_after(&text(PAGE), "http://localhost:")
        .into_iter()
        .collect();
    assert_eq!(published, linked);
    for page in read_files(
        &[
            DEPLOYMENT_PATHS,
            &["scripts/demo.sh", "scripts/test-demo.sh"],
        ]
        .concat(),
    ) {
        for port in numbers_after(&page.text, "http://localhost:") {
            assert!(published.contains(&port), "{}: port {port}", page.path);
        }
    }
}

#[test]
fn every_link_of_landing_page_resolves() {
    let page = text(PAGE);
    let routes = text("service/src/http/routes.rs");
    let links = between(&page, "href=\"/", "\"");
    assert!(links.contains(&"runbooks/gateway_down.md"), "{links:?}");
    for link in links {
        match link.strip_prefix("runbooks/") {
            Some("") => assert!(root().join("docs/runbooks/README.md").exists()),
            Some(name) => assert!(root().join("docs/runbooks").join(name).exists(), "{link}"),
            None => assert!(routes.contains(&format!("\"/{link}\"")), "{link}"),
        }
    }
}

#[test]
fn every_login_exists_in_seed() {
    let seed = text("service/src/usecases/seed.rs");
    let quoted: Vec<&str> = seed.split('"').skip(1).step_by(2).collect();
    let users = quoted.windows(2).filter(|pair| pair[0].contains('@'));
    let users: BTreeSet<_> = users.map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(users.len(), 2, "the seed has another format: {users:?}");

    let page = text(PAGE);
    let code = between(&page, "<code>", "</code>");
    let listed = code.windows(2).filter(|pair| pair[0].contains('@'));
    let listed: BTreeSet<_> = listed.map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(users, listed);

    for page in read_files(&["README.md", "deploy/compose", "scripts"]) {
        for login in between(&page.text, "{\"email\":\"", "\"}") {
            if let Some(pair) = login.split_once("\",\"password\":\"")
                && pair.0.contains("example.com")
                && !login.contains('$')
            {
                assert!(users.contains(&pair), "{}: {login}", page.path);
            }
        }
    }
}

#[test]
fn grafana_password_matches_its_file() {
    let password = text("deploy/compose/secrets/grafana_password");
    let listed = format!("<code>admin</code> / <code>{}</code>", password.trim());
    assert!(text(PAGE).contains(&listed), "{listed}");
}
