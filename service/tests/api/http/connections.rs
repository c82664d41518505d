//! The limits of connections: time for each head, keep-alive, the share of a client, and reading.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::raw_connection::RawConnection;

const HEAD_TIMEOUT: Duration = Duration::from_secs(1);
const GET: &str = "GET /v1/products HTTP/1.1\r\nhost: test\r\n\r\n";
const GET_ADMIN: &str = "GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";
const HALF: &str = "GET /v1/products HTTP/1.1\r\nho";

async fn app_with_short_head_timeout() -> TestApp {
    TestApp::start_with(|settings| settings.http.request_head_timeout = HEAD_TIMEOUT).await
}

/// Both listeners, each with a request that it answers with 200.
fn listeners(app: &TestApp) -> [(SocketAddr, &'static str); 2] {
    [(app.app.address, GET), (app.app.admin_address, GET_ADMIN)]
}

/// Asserts that the service closes the connection after the head timeout, with 408.
async fn assert_head_times_out(connection: &mut RawConnection, what: &str) {
    let (response, after) = connection.read_to_end().await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{what}: {response}");
    assert!(
        response.ends_with('}') && response.contains("/request-timeout"),
        "{what}: {response}"
    );
    assert!(after > HEAD_TIMEOUT / 2, "{what}: {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_head_times_out_on_new_and_reused_connections() {
    let app = app_with_short_head_timeout().await;
    for (address, get) in listeners(&app) {
        let mut new = RawConnection::open(address).await;
        new.send(HALF).await;
        assert_head_times_out(&mut new, "new").await;

        let mut reused = RawConnection::open(address).await;
        for _ in 0..2 {
            reused.send(get).await;
            let response = reused.read_response().await;
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        }
        reused.send(HALF).await;
        assert_head_times_out(&mut reused, "reused").await;
    }
    let timeouts =
        app.metric(r#"orderly_http_rejected_heads_total{listener="api",reason="timeout"} "#);
    assert_eq!(timeouts.await, Some(2.0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_head_in_segment_of_complete_request_times_out() {
    let app = app_with_short_head_timeout().await;
    let json = "content-type: application/json\r\n";
    let with_length =
        format!("POST /v1/users HTTP/1.1\r\nhost: test\r\n{json}content-length: 2\r\n\r\n{{}}");
    let chunked = format!(
        "POST /v1/users HTTP/1.1\r\nhost: test\r\n{json}transfer-encoding: chunked\r\n\r\n\
         1;name=value\r\n{{\r\n1\r\n}}\r\n0\r\nexpires: never\r\n\r\n"
    );
    let not_read =
        "POST /v1/nowhere HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let continued = format!(
        "POST /v1/users HTTP/1.1\r\nhost: test\r\n{json}expect: 100-continue\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    for (request, status) in [
        (GET, "200"),
        (&with_length, "422"),
        (&chunked, "422"),
        (not_read, "404"),
        (&continued, "100"),
    ] {
        let mut connection = RawConnection::open(app.app.address).await;
        connection.send(format!("{request}{HALF}")).await;
        let started_at = Instant::now();
        let (responses, _) = connection.read_to_end().await;
        let statuses: Vec<&str> = (responses.split("HTTP/1.1 ").skip(1))
            .map(|it| &it[..3])
            .collect();
        assert_eq!(statuses.first(), Some(&status), "{request}: {responses}");
        assert_eq!(statuses.last(), Some(&"408"), "{request}: {responses}");
        assert!(started_at.elapsed() > HEAD_TIMEOUT / 2, "{request}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_pipelined_requests_in_order() {
    let app = TestApp::start().await;
    let post = "POST /v1/users HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n";
    let requests = [
        GET.to_owned(),
        format!("{post}content-length: 2\r\n\r\n{{}}"),
        format!("{post}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"),
        "\r\nHEAD /v1/products HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
        "GET /nowhere HTTP/1.1\nhost: test\nconnection: close\n\n".to_owned(),
    ];
    let all = requests.concat();
    // In one segment, and in pieces that end anywhere.
    for piece in [all.len(), 7] {
        let mut connection = RawConnection::open(app.app.address).await;
        for bytes in all.as_bytes().chunks(piece) {
            connection.send(bytes).await;
        }
        let (responses, _) = connection.read_to_end().await;
        let statuses: Vec<&str> = (responses.split("HTTP/1.1 ").skip(1))
            .map(|it| &it[..3])
            .collect();
        assert_eq!(statuses, ["200", "422", "422", "200", "404"], "{responses}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_idle_connection_after_keep_alive() {
    let app = TestApp::start_with(|settings| settings.http.keep_alive = HEAD_TIMEOUT).await;
    for (address, get) in listeners(&app) {
        let mut connection = RawConnection::open(address).await;
        connection.send(get).await;
        assert!(
            connection
                .read_response()
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        let (rest, after) = connection.read_to_end().await;
        assert_eq!(rest, "");
        assert!(after > HEAD_TIMEOUT / 2, "{after:?}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connection_is_closed_after_head_timeout() {
    let app = app_with_short_head_timeout().await;
    for (address, _) in listeners(&app) {
        let mut silent = RawConnection::open(address).await;
        assert_eq!(silent.read_to_end().await.0, "");
        // Empty lines may precede a request line, and are no request.
        let mut empty_lines = RawConnection::open(address).await;
        empty_lines.send("\r\n\r\n").await;
        assert_eq!(empty_lines.read_to_end().await.0, "");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handler_and_slow_body_outlive_head_timeout() {
    let app = app_with_short_head_timeout().await;
    let mut connection = RawConnection::open(app.app.address).await;
    let head = "POST /v1/users HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{";
    connection.send(head).await;
    let state = r#"orderly_http_connections{listener="api",state="body"}"#;
    app.wait_for_metric(state, 1.0).await;
    let started_at = Instant::now();
    eventually("the head timeout is over", async || {
        (started_at.elapsed() > 2 * HEAD_TIMEOUT).then_some(())
    })
    .await;
    connection.send("}").await;
    assert!(
        connection
            .read_response()
            .await
            .starts_with("HTTP/1.1 422 ")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_connections_of_client_and_serves_others() {
    let app = TestApp::start_with(|settings| settings.http.max_connections_per_client = 4).await;
    for (address, get) in listeners(&app) {
        let mut open = Vec::new();
        for _ in 0..4 {
            let mut connection = RawConnection::open_from("127.0.0.9", address).await;
            connection.send(get).await;
            assert!(
                connection
                    .read_response()
                    .await
                    .starts_with("HTTP/1.1 200 ")
            );
            open.push(connection);
        }
        let mut rejected = RawConnection::open_from("127.0.0.9", address).await;
        let (response, _) = rejected.read_to_end().await;
        assert!(response.starts_with("HTTP/1.1 429 "), "{response}");
        assert!(response.contains("/too-many-connections"), "{response}");
        let mut other = RawConnection::open_from("127.0.0.10", address).await;
        other.send(get).await;
        assert!(other.read_response().await.starts_with("HTTP/1.1 200 "));
        // A connection that ends makes room.
        open.pop();
        eventually("the client is served again", async || {
            let mut again = RawConnection::open_from("127.0.0.9", address).await;
            again.try_send(get.as_bytes()).await;
            let (response, _) = {
                again.finish().await;
                again.read_to_end().await
            };
            response.starts_with("HTTP/1.1 200 ").then_some(())
        })
        .await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_make_room_for_new_ones() {
    let app = TestApp::start_with(|settings| settings.http.max_connections = 10).await;
    let mut open = Vec::new();
    for _ in 0..30 {
        let mut connection = RawConnection::open(app.app.address).await;
        connection.send(GET).await;
        assert!(
            connection
                .read_response()
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        open.push(connection);
    }
    // The oldest ones are closed long before `http.keep_alive`.
    assert_eq!(open[0].read_to_end().await.0, "");
    let last = open.last_mut().unwrap();
    last.send(GET).await;
    assert!(last.read_response().await.starts_with("HTTP/1.1 200 "));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_connection_of_client_that_does_not_read() {
    let app = TestApp::start_with(|settings| settings.http.write_timeout = HEAD_TIMEOUT).await;
    let mut connection = RawConnection::open_with_small_buffer(app.app.address).await;
    let request = "GET /openapi.json HTTP/1.1\r\nhost: test\r\n\r\n".repeat(1000);
    let blocked = r#"orderly_http_connections{listener="api",state="response"}"#;
    let sending = connection.send_repeatedly(Duration::from_secs(20), request.as_bytes());
    let observe = async {
        app.wait_for_metric(blocked, 1.0).await;
        app.wait_for_metric(blocked, 0.0).await;
    };
    tokio::join!(sending, observe);
    app.finish().await;
}
