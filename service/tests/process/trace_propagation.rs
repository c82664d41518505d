//! A trace goes on: from the caller to us, and from us to the gateway, in both formats.

use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use xtask::process::Signal;

use crate::support::app::send;
use crate::support::process::OrderlyCommand;
use crate::support::service_process::{ServiceProcess, seeded_database};

const W3C: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const JAEGER: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread")]
async fn continues_trace_in_either_format_preferring_w3c() {
    let database = seeded_database().await;
    let service = ServiceProcess::start(&OrderlyCommand::with_database(&database)).await;
    let traceparent = ("traceparent", format!("00-{W3C}-00f067aa0ba902b7-01"));
    let uber = ("uber-trace-id", format!("{JAEGER}:b7ad6b7169203331:0:1"));
    let broken = ("traceparent", "00-canary-00f067aa0ba902b7-01".to_owned());
    for (headers, expected) in [
        (vec![&traceparent], W3C),
        (vec![&uber], JAEGER),
        (vec![&uber, &traceparent], W3C),
        (vec![&traceparent, &uber], W3C),
        (vec![&broken, &uber], JAEGER),
    ] {
        let mut request = service.request(Method::GET, "/nowhere");
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let problem = send(request, "").await.expect_problem(404, "not-found");
        assert_eq!(problem["trace_id"], expected, "{headers:?}");
    }
    // What can't be read is as good as nothing, and no reason to log it.
    let request = service.request(Method::GET, "/nowhere");
    let request = request.header("uber-trace-id", "canary");
    let problem = send(request, "").await.expect_problem(404, "not-found");
    for line in service.stop(Signal::TERM).await {
        assert!(!line.to_string().contains("canary"), "{line}");
        if line["message"] == "request" {
            let known = [W3C.into(), JAEGER.into(), problem["trace_id"].clone()];
            assert!(known.contains(&line["trace_id"]), "{line}");
        }
    }
}

/// A gateway that takes every charge and keeps what it was asked.
struct FakeGateway {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeGateway {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let request = Arc::<Mutex<Vec<String>>>::default();
        let recorded = Arc::clone(&request);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let request = accept_charge(stream).await;
                recorded.lock().unwrap().push(request);
            }
        });
        Self {
            url,
            requests: request,
        }
    }
}

async fn accept_charge(mut stream: TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        stream.read_buf(&mut request).await.unwrap();
    }
    let request = String::from_utf8(request).unwrap();
    // A success names the order, the amount and the currency of the request.
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let mut body: Value = serde_json::from_str(body).unwrap();
    body["status"] = "succeeded".into();
    body["id"] = "ch_1".into();
    let body = body.to_string();
    let length = body.len();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    stream.write_all(response.as_bytes()).await.unwrap();
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_trace_to_gateway_in_both_formats() {
    let database = seeded_database().await;
    let gateway = FakeGateway::start().await;
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway.url);
    let service = ServiceProcess::start(&orderly).await;
    let token = service.log_in_as_customer().await;
    let product = service.first_product().await;
    let order = service.place_order(&token, &product).await;
    service.wait_for_order_status(&token, &order, "paid").await;
    let log = service.stop(Signal::TERM).await;

    let payment_line = log
        .iter()
        .find(|line| line["message"] == "job completed")
        .unwrap();
    let trace_id = payment_line["trace_id"].as_str().unwrap();
    let span_id = payment_line["span_id"].as_str().unwrap();
    let request = gateway.requests.lock().unwrap().remove(0);
    let traceparent = format!("traceparent: 00-{trace_id}-{span_id}-00\r\n");
    assert!(request.contains(&traceparent), "{traceparent}{request}");
    let uber = format!("uber-trace-id: {trace_id}:{span_id}:0:0\r\n");
    assert!(request.contains(&uber), "{uber}{request}");
}
