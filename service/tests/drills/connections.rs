//! Clients that misuse connections, below HTTP. The promise: one client cannot occupy what others
//! need, fill the memory, or delay a shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::environment::replica::Replica;
use crate::environment::{DrillEnvironment, hold_for};
use crate::load::AttemptOutcome::{ConnectionFailed, Status};
use crate::support::certificates::CertificateAuthority;
use crate::support::eventually::eventually;
use crate::support::raw_connection::RawConnection;

/// Longest wait of a client that does nothing wrong, on a busy machine.
const NORMAL_LATENCY: Duration = Duration::from_secs(5);
const ATTACK_PERIOD: Duration = Duration::from_secs(8);
/// Addresses of attackers; the load comes from 127.0.0.1.
const ATTACKERS: [&str; 4] = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
const GET: &str = "GET /v1/products HTTP/1.1\r\nhost: drill\r\n\r\n";

/// Runbook: `docs/runbooks/slow_heads.md`
///
/// Four clients use all connections. Each connection has one complete request behind it and sends
/// half of the next head, and the clients replace each connection that is closed. The measured
/// time is that until the last half head is gone.
#[tokio::test(flavor = "multi_thread")]
async fn slow_heads() {
    let settings = [
        "http.max_connections=64",
        "http.max_connections_per_client=64",
        "http.request_head_timeout=2s",
    ];
    let mut env = DrillEnvironment::start("slow_heads", &settings).await;
    let api = env.service().api;
    let load = env.start_load(20).await;

    let mut attack = JoinSet::new();
    for number in 0..64 {
        attack.spawn(async move {
            let started_at = Instant::now();
            while started_at.elapsed() < ATTACK_PERIOD {
                let mut connection = RawConnection::open_from(ATTACKERS[number % 4], api).await;
                connection.try_send(GET.as_bytes()).await;
                let half = "GET /v1/products HTTP/1.1\r\nho";
                connection.try_send(half.as_bytes()).await;
                connection.read_to_end().await;
            }
        });
    }
    attack.join_all().await;
    let ended_at = Instant::now();
    let heads = r#"orderly_http_connections{listener="api",state="head"}"#;
    env.service()
        .wait_for_metric(heads, |open| open == 0.0)
        .await;
    let recovered = ended_at.elapsed();
    load.wait_until_healthy().await;

    let results = load.stop().await;
    // A client that reuses a connection just when it makes room for another sends its request again.
    results.assert_outcomes(&[Status(200), Status(201), ConnectionFailed]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/connections_of_one_client.md`
///
/// One client opens as many connections as the service has, sends one small request on each, and
/// keeps them. The others notice nothing. The measured time is that until the client may connect
/// again after it has closed its connections.
#[tokio::test(flavor = "multi_thread")]
async fn connections_of_one_client() {
    let settings = [
        "http.max_connections=256",
        "http.max_connections_per_client=100",
    ];
    let mut env = DrillEnvironment::start("connections_of_one_client", &settings).await;
    let api = env.service().api;
    let load = env.start_load(20).await;

    let mut open = Vec::new();
    for _ in 0..256 {
        let mut connection = RawConnection::open_from(ATTACKERS[0], api).await;
        connection.try_send(GET.as_bytes()).await;
        open.push(connection);
    }
    let rejected = r#"orderly_http_connections_rejected_total{listener="api",reason="client"}"#;
    env.service()
        .wait_for_metric(rejected, |rejected| rejected >= 150.0)
        .await;
    hold_for(Duration::from_secs(3)).await;
    drop(open);
    let ended_at = Instant::now();
    eventually("the client may connect again", async || {
        let mut connection = RawConnection::open_from(ATTACKERS[0], api).await;
        let request = "GET /v1/products HTTP/1.1\r\nhost: drill\r\nconnection: close\r\n\r\n";
        connection.try_send(request.as_bytes()).await;
        connection
            .read_to_end()
            .await
            .0
            .contains("200 OK")
            .then_some(())
    })
    .await;
    let recovered = ended_at.elapsed();

    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, recovered).await;
}

/// Runbook: `docs/runbooks/client_that_does_not_read.md`
///
/// A client sends requests and reads no response, and the replica is stopped. The measured time is
/// that of the shutdown, which must be a success.
#[tokio::test(flavor = "multi_thread")]
async fn client_that_does_not_read() {
    let settings = ["http.write_timeout=1m", "shutdown.drain_timeout=3s"];
    let mut env = DrillEnvironment::start("client_that_does_not_read", &settings).await;
    let (api, folder) = (env.service().api, env.folder.clone());
    let load = env.start_load(20).await;

    let attack = tokio::spawn(async move {
        let mut connection = RawConnection::open_with_small_buffer(api).await;
        let requests = "GET /openapi.json HTTP/1.1\r\nhost: drill\r\n\r\n".repeat(100);
        connection
            .send_repeatedly(Duration::from_secs(30), requests.as_bytes())
            .await;
    });
    let blocked = r#"orderly_http_connections{listener="api",state="response"}"#;
    env.service()
        .wait_for_metric(blocked, |open| open >= 1.0)
        .await;
    // It asserts the exit code 0.
    let stop_duration = env.service().stop().await;
    assert!(
        stop_duration < Duration::from_secs(18),
        "it took {stop_duration:?}"
    );
    attack.await.unwrap();
    env.service().restart(&folder).await;

    load.wait_until_healthy().await;
    let results = load.stop().await;
    env.finish(&results, stop_duration).await;
}

const SENDING_TIME: Duration = Duration::from_secs(2);

/// Growth of the resident memory that an attack may cause, in bytes. The attacks below send 80 MB at least.
const MAX_MEMORY_GROWTH: f64 = 100e6;

/// Runbook: `docs/runbooks/hostile_framing.md`
///
/// Clients send messages without end, in every protocol that is offered, and in HTTP/2, which is
/// not. The measured time is that of the attack; the resident memory must not grow by much.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_framing() {
    let mut env = DrillEnvironment::start("hostile_framing", &[]).await;
    let load = env.start_load(10).await;
    let authority = CertificateAuthority::new();
    let leaf = authority.leaf();
    let settings = [
        format!("http.tls_certificate={}", leaf.certificate.display()),
        format!("http.tls_key={}", leaf.key.display()),
    ];
    let tls_replica = Replica::start(&env.folder, "tls", &env.dependencies, &settings).await;
    let memory = "process_resident_memory_bytes";
    let before = [
        env.service().metric(memory).await,
        tls_replica.metric(memory).await,
    ];

    let started_at = Instant::now();
    let api = env.service().api;
    let mut attacks = JoinSet::new();
    for (number, message) in hostile_messages().into_iter().cycle().take(20).enumerate() {
        let source = ATTACKERS[number % 4];
        let (connector, tls_api) = (tls_connector(&authority, &[b"http/1.1"]), tls_replica.api);
        attacks.spawn(async move {
            let mut plain = RawConnection::open_from(source, api).await;
            plain.send_repeatedly(SENDING_TIME, &message).await;
            let stream = TcpStream::connect(tls_api).await.unwrap();
            let name = ServerName::from(tls_api.ip());
            let mut stream = connector.connect(name, stream).await.unwrap();
            send_repeatedly(&mut stream, &message).await;
        });
    }
    attacks.join_all().await;
    assert_http2_is_not_spoken(&authority, tls_replica.api).await;
    let attacked_for = started_at.elapsed();

    let after = [
        env.service().metric(memory).await,
        tls_replica.metric(memory).await,
    ];
    for (before, after) in before.into_iter().zip(after) {
        assert!(
            after - before < MAX_MEMORY_GROWTH,
            "{before} bytes grew to {after}"
        );
    }
    load.wait_until_healthy().await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, attacked_for).await;
}

/// Beginnings of messages that never end, 2 MB each.
fn hostile_messages() -> Vec<Vec<u8>> {
    const SIZE: usize = 2_000_000;
    let get = "GET /v1/products HTTP/1.1\r\nhost: drill\r\n";
    let post = "POST /v1/users HTTP/1.1\r\nhost: drill\r\ncontent-type: application/json\r\n";
    let endless = |start: &str, rest: &str| {
        let mut message = start.as_bytes().to_vec();
        message.extend(rest.bytes().cycle().take(SIZE));
        message
    };
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n");
    vec![
        endless(get, "x"),
        endless(&format!("{get}x: "), "y"),
        endless(get, "a: b\r\n"),
        endless("", "\r\n"),
        endless("", &format!("{get}\r\n")),
        endless(&chunked, "1\r\n \r\n"),
        endless(&format!("{chunked}1;"), "x"),
        endless(&format!("{chunked}0\r\n"), "x: y\r\n"),
        endless(&format!("{post}content-length: 9999999\r\n\r\n"), " "),
        endless(
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
            "\u{7f}",
        ),
    ]
}

fn tls_connector(authority: &CertificateAuthority, protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = rustls::pki_types::CertificateDer::from_pem_file(authority.certificate());
    roots.add(certificate.unwrap()).unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    Arc::new(config).into()
}

/// Sends for as long as the service takes the bytes, and at most for [`SENDING_TIME`].
async fn send_repeatedly(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) {
    let sending = async { while stream.write_all(message).await.is_ok() {} };
    let _the_end_of_the_time = timeout(SENDING_TIME, sending).await;
}

/// HTTP/2 is neither negotiated nor understood.
async fn assert_http2_is_not_spoken(authority: &CertificateAuthority, api: SocketAddr) {
    let connect = async |protocols: &[&[u8]]| {
        let stream = TcpStream::connect(api).await.unwrap();
        let connector = tls_connector(authority, protocols);
        connector.connect(ServerName::from(api.ip()), stream).await
    };
    connect(&[b"h2"]).await.unwrap_err();
    let both = connect(&[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut without_alpn = connect(&[]).await.unwrap();
    without_alpn
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let mut response = Vec::new();
    let _a_reset_is_an_end = without_alpn.read_to_end(&mut response).await;
    assert!(
        response.starts_with(b"HTTP/1.1 400 "),
        "{}",
        String::from_utf8_lossy(&response)
    );
}
