//! Request heads that are no requests: counted, charged to the client, and answered with a problem.

use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::raw_connection::RawConnection;

/// Heads, each with its status and the reason in the metric.
fn malformed_heads() -> Vec<(String, &'static str, &'static str)> {
    let headers: String = (0..120)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect();
    [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400", "malformed"),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(),
            "400",
            "malformed",
        ),
        (
            "GET / HTTP/9.9\r\nhost: a\r\n\r\n".to_owned(),
            "400",
            "malformed",
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            "400",
            "malformed",
        ),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400", "malformed"),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n".to_owned(),
            "400",
            "malformed",
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"
                .to_owned(),
            "400",
            "malformed",
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n"
                .to_owned(),
            "400",
            "malformed",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n"),
            "431",
            "too_large",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
                "y".repeat(200_000)
            ),
            "431",
            "too_large",
        ),
    ]
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_malformed_head_with_counted_problem() {
    let app = TestApp::start().await;
    for (listener, address) in [("api", app.app.address), ("admin", app.app.admin_address)] {
        let count = async |reason: &str| {
            let series = format!(
                "orderly_http_rejected_heads_total{{listener=\"{listener}\",reason=\"{reason}\"}} "
            );
            app.metric(&series).await.unwrap()
        };
        for (head, status, reason) in malformed_heads() {
            let before = count(reason).await;
            // The second time behind a request: one head in a segment hides no other.
            let good = "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
            for prefix in ["", good] {
                let mut connection = RawConnection::open(address).await;
                connection.send(format!("{prefix}{head}")).await;
                let (responses, _) = connection.read_to_end().await;
                let response = responses.rsplit("HTTP/1.1 ").next().unwrap();
                assert!(response.starts_with(status), "{head:.60}: {responses}");
                let (_, body) = response.split_once("\r\n\r\n").unwrap();
                let problem: Value = serde_json::from_str(body).unwrap();
                assert_eq!(problem["status"].to_string(), status);
            }
            assert_eq!(count(reason).await, before + 2.0, "{head:.60}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_heads_use_up_share_of_client() {
    let app = TestApp::start_with(|settings| settings.http.max_connections_per_client = 5).await;
    let connect = async |source| RawConnection::open_from(source, app.app.address).await;
    for _ in 0..5 {
        let mut connection = connect("127.0.0.9").await;
        connection.send("GET / HTTP/1.1\r\n\r\n").await;
        assert!(
            connection
                .read_to_end()
                .await
                .0
                .starts_with("HTTP/1.1 400 ")
        );
    }
    let (response, _) = connect("127.0.0.9").await.read_to_end().await;
    assert!(response.starts_with("HTTP/1.1 429 "), "{response}");
    let mut other = connect("127.0.0.10").await;
    other
        .send("GET /v1/products HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert!(other.read_response().await.starts_with("HTTP/1.1 200 "));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_chunks_are_one_400_of_the_handler() {
    let app = TestApp::start().await;
    let head = "POST /v1/users HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    for chunks in [
        "xyz\r\n",
        "1\r\n{}\r\n",
        "11111111111111111\r\n",
        "0\r\n\rx",
    ] {
        let mut connection = RawConnection::open(app.app.address).await;
        connection.send(format!("{head}{chunks}")).await;
        let (response, _) = connection.read_to_end().await;
        assert!(
            response.starts_with("HTTP/1.1 400 "),
            "{chunks:?}: {response}"
        );
        assert!(response.contains("/bad-request"), "{chunks:?}: {response}");
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
    }
    app.finish().await;
}
