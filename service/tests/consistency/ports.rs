//! Ports: what is published, scraped, proxied to or let in is what the program listens on.

use super::cli_output::Schema;
use super::project_files::{DEPLOYMENT_PATHS, numbers_after, read_files};

/// Where the program's ports stand for themselves: the file, what stands before them, and whose they are.
const PORT_LISTS: &[(&str, &str, &[&str])] = &[
    (
        "deploy/docker/Dockerfile",
        "EXPOSE ",
        &["sandbox gateway", "http", "admin"],
    ),
    (
        "deploy/systemd/orderly.service",
        "SocketBindAllow=tcp:",
        &["http", "admin"],
    ),
    (
        "deploy/kubernetes/base/deployment.yaml",
        "containerPort: ",
        &["http", "admin"],
    ),
    (
        "deploy/kubernetes/base/services.yaml",
        " port: ",
        &["service", "admin"],
    ),
    (
        "deploy/kubernetes/overlays/dev/sandbox-gateway.yaml",
        "containerPort: ",
        &["sandbox gateway"],
    ),
    (
        "deploy/kubernetes/overlays/dev/sandbox-gateway.yaml",
        " port: ",
        &["sandbox gateway"],
    ),
];

fn port_of(schema: &Schema, listener: &str) -> String {
    match listener {
        // What clients inside the cluster ask for, HTTP's own, which the Service leads to http.port by name.
        "service" => "80".to_owned(),
        "sandbox gateway" => sandbox_gateway::DEFAULT_PORT.to_string(),
        listener => schema.default(&format!("{listener}.port")),
    }
}

#[test]
fn every_opened_port_is_listened_on() {
    let schema = Schema::get();
    for (file, before, listeners) in PORT_LISTS {
        let opened: Vec<String> = (read_files(&[file]).iter())
            .flat_map(|page| numbers_after(&page.text, before))
            .collect();
        let known = listeners.iter().map(|listener| port_of(&schema, listener));
        assert_eq!(opened, known.collect::<Vec<_>>(), "{file}: {before}");
    }
}

/// Which listener is meant by `orderly-1:…` or `gateway:…` in this file: what watches asks the admin listener, what
/// serves asks the API.
fn listener_meant(host: &str, path: &str) -> &'static str {
    if host.contains("gateway") {
        "sandbox gateway"
    } else if path.starts_with("observability") {
        "admin"
    } else {
        "http"
    }
}

#[test]
fn every_service_address_has_listening_port() {
    let schema = Schema::get();
    let may_be = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let mut checked = 0;
    for page in read_files(DEPLOYMENT_PATHS) {
        for beginning in ["orderly", "gateway", "sandbox-gateway"] {
            for (word, place) in page.words(beginning, may_be) {
                let Some((host, port)) = word.rsplit_once(':') else {
                    continue;
                };
                if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
                    let expected = port_of(&schema, listener_meant(host, &page.path));
                    assert_eq!(port, expected, "{place}: {word}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 5, "too few ports found: {checked}");
}
