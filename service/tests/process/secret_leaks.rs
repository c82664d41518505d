//! Nobody's secret comes out: a canary in each, then a search through everything that the service says of itself.
//!
//! At the most talkative filter there is, since that is what is set when something is wrong and the log goes to
//! somebody who helps.

use base64::Engine as _;
use reqwest::{Client, Method};
use serde_json::json;
use xtask::process::Signal;

use crate::support::app::send;
use crate::support::certificates::{CertificateAuthority, LeafCertificate};
use crate::support::collector::Collector;
use crate::support::gateway::start_gateway;
use crate::support::process::{OrderlyCommand, scratch_dir};
use crate::support::redis_tls::TlsRedisServer;
use crate::support::response::TestResponse;
use crate::support::service_process::{ServiceProcess, seeded_database};

const REDIS_PASSWORD: &str = "canary-redis-5b1e";
const USER_PASSWORD: &str = "canary-user-9c47 horse battery";

/// What must not come out, by name.
struct Canaries(Vec<(&'static str, String)>);

/// What came out, by where.
#[derive(Default)]
struct CollectedOutput(Vec<(String, String)>);

impl CollectedOutput {
    fn add(&mut self, source: impl Into<String>, text: impl Into<String>) {
        self.0.push((source.into(), text.into()));
    }

    fn add_response(&mut self, source: &str, response: &TestResponse) {
        let headers = format!("{:?}", response.headers);
        self.add(source, headers + &response.text);
    }

    fn search(&self, canaries: &Canaries) {
        for (source, text) in &self.0 {
            assert!(
                !text.is_empty(),
                "nothing came out at {source}: is it still looked at?"
            );
            for (name, canary) in &canaries.0 {
                let line = text.lines().find(|line| line.contains(canary.as_str()));
                assert_eq!(line, None, "the {name} came out at {source}");
            }
        }
    }
}

/// A PEM file, and the part of it that nobody may see.
fn signing_key() -> (String, String) {
    use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    // Its beginning is the same in every key.
    (pem, text[24..56].to_owned())
}

fn tls_key(leaf: &LeafCertificate) -> String {
    let pem = std::fs::read_to_string(&leaf.key).unwrap();
    let middle = pem.lines().nth(2).unwrap();
    middle[..32].to_owned()
}

fn config(
    leaf: &LeafCertificate,
    authority: &CertificateAuthority,
    redis: &TlsRedisServer,
    key: &str,
) -> OrderlyCommand {
    OrderlyCommand::new()
        .set(
            "ORDERLY__HTTP__TLS_CERTIFICATE",
            leaf.certificate.to_str().unwrap(),
        )
        .set("ORDERLY__HTTP__TLS_KEY", leaf.key.to_str().unwrap())
        .set("ORDERLY__REDIS__URL", &redis.url())
        .set(
            "ORDERLY__REDIS__CA_CERTIFICATE",
            authority.certificate().to_str().unwrap(),
        )
        .set("ORDERLY__AUTH__SIGNING_KEY_FILE", key)
        .set("ORDERLY__LOG__FILTER", "trace")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_contains_secret() {
    let database = seeded_database().await;
    let authority = CertificateAuthority::new();
    let leaf = authority.leaf();
    let redis = TlsRedisServer::start(&leaf, REDIS_PASSWORD).await;
    let (pem, signing_key) = signing_key();
    let key_file = scratch_dir().join("signing-key.pem");
    std::fs::write(&key_file, pem).unwrap();
    let mut canaries = Canaries(vec![
        (
            "database's password",
            database
                .url
                .split(['/', '@', ':'])
                .nth(4)
                .unwrap()
                .to_owned(),
        ),
        ("Redis' password", REDIS_PASSWORD.to_owned()),
        ("signing key", signing_key),
        ("TLS key", tls_key(&leaf)),
        ("user's password", USER_PASSWORD.to_owned()),
    ]);
    let orderly = config(&leaf, &authority, &redis, key_file.to_str().unwrap()).set(
        "ORDERLY__DATABASE__URL",
        &format!("{}?sslmode=require", database.url),
    );
    let mut output = CollectedOutput::default();
    let collector = Collector::start().await;
    let orderly = orderly.set("ORDERLY__TELEMETRY__OTLP_ENDPOINT", &collector.url);

    let gateway = start_gateway().await;
    let orderly = orderly.set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway.url());
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([authority.root_certificate()]);
    let service =
        ServiceProcess::start_with_client("https", client.build().unwrap(), &orderly).await;
    let token = exercise_secrets(&service, &mut output).await;
    canaries.0.push(("access token", token.clone()));
    canaries.0.push((
        "access token's signature",
        token.rsplit_once('.').unwrap().1.to_owned(),
    ));
    for path in ["/metrics", "/healthz", "/readyz"] {
        let url = format!("http://127.0.0.1:{}{path}", service.admin_port);
        let response = TestResponse::read(service.client.get(url).send().await.unwrap()).await;
        output.add_response(path, &response);
    }
    service.process.signal(Signal::HUP);
    service
        .process
        .wait_for_log("the configuration was reloaded")
        .await;
    let log = service.stop(Signal::TERM).await;
    assert!(log.iter().any(|line| line["level"] == "TRACE"));
    let lines: Vec<String> = log.iter().map(ToString::to_string).collect();
    output.add("the log", lines.join("\n"));
    output.add("the spans", format!("{:#?}", collector.spans()));
    output.add("the gateway's ledger", format!("{:?}", gateway.ledger()));

    for arguments in [
        &["config"][..],
        &["config", "--json"],
        &["config", "--schema"],
    ] {
        output.add(format!("{arguments:?}"), orderly.succeed(arguments).await);
    }
    failed_starts(&orderly, &mut output).await;
    output.search(&canaries);
}

/// Everything that a client does with a secret, and all that goes wrong with one. Returns the access token.
async fn exercise_secrets(service: &ServiceProcess, output: &mut CollectedOutput) -> String {
    let user = json!({"email": "canary@example.com", "password": USER_PASSWORD, "name": "Canary"});
    let post = |path: &str| service.request(Method::POST, path);
    let registered = send(post("/v1/users").json(&user), "").await;
    assert_eq!(registered.status, 201);
    output.add_response("a registration", &registered);
    let token = service.log_in("canary@example.com", USER_PASSWORD).await;
    output.add_response("a profile", &service.get("/v1/users/me", &token).await);
    let product = service.first_product().await;
    let order = service.place_order(&token, &product).await;
    service.wait_for_order_status(&token, &order, "paid").await;
    output.add("an order", order.to_string());

    let wrong_password =
        json!({"email": "canary@example.com", "password": format!("{USER_PASSWORD}-not")});
    let text = format!("{{\"password\": \"{USER_PASSWORD}\", ");
    for (source, body) in [
        ("a wrong password", wrong_password.to_string()),
        (
            "a password where none belongs",
            json!({"limit": USER_PASSWORD}).to_string(),
        ),
        ("a password alone", json!(USER_PASSWORD).to_string()),
        ("a body that ends too early", text),
    ] {
        let log_in = post("/v1/sessions").header("content-type", "application/json");
        let response = send(log_in.body(body), "").await;
        assert!(response.status >= 400, "{source}: {}", response.status);
        output.add_response(source, &response);
    }
    let mut forged = token.clone();
    forged.push('x');
    let response = service.get("/v1/users/me", &forged).await;
    assert_eq!(response.status, 401);
    output.add_response("a forged token", &response);
    let misplaced = service
        .get(&format!("/v1/orders?access_token={token}"), "")
        .await;
    output.add_response("a token in the query", &misplaced);
    token
}

/// With each of the settings that hold a secret wrong in a way that is only found when it is used.
async fn failed_starts(orderly: &OrderlyCommand, output: &mut CollectedOutput) {
    let unreachable = format!("postgres://orderly:{REDIS_PASSWORD}@127.0.0.1:1/orderly");
    for (source, variable, value) in [
        (
            "an unreachable database",
            "ORDERLY__DATABASE__URL",
            unreachable.as_str(),
        ),
        (
            "a wrong database URL",
            "ORDERLY__DATABASE__URL",
            &unreachable.replace(":1/", ":x/"),
        ),
        (
            "a wrong Redis URL",
            "ORDERLY__REDIS__URL",
            &format!("redis://:{REDIS_PASSWORD}@:x/"),
        ),
        (
            "a key where a certificate belongs",
            "ORDERLY__HTTP__TLS_CERTIFICATE",
            "/dev/null",
        ),
        (
            "a secret given twice",
            "ORDERLY__AUTH__SIGNING_KEY",
            REDIS_PASSWORD,
        ),
        (
            "a secret in a setting that is none",
            "ORDERLY__HTTP__PORTS",
            &unreachable,
        ),
    ] {
        let ended = orderly.clone().set(variable, value).run(&["serve"]).await;
        assert!(
            matches!(ended.code, Some(1 | 78)),
            "{source}: {:?}",
            ended.code
        );
        output.add(source, ended.stderr + &ended.stdout);
    }
}
