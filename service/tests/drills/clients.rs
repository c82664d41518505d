//! Too many customers, and ones who mean no good. The promise: as much is done as can be
//! done, the rest is refused at once, and nobody can occupy what others need.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::load::Load;
use crate::load::Outcome::Status;
use crate::stage::{Stage, keep_it_so};

const A_WHILE: Duration = Duration::from_secs(8);

/// Every order takes 200 ms in Postgres, and there are four connections: twenty orders a
/// second are all that can be done, on any machine.
const SLOW_ORDERS: &str = "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS \
     'BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END'; \
     CREATE TRIGGER dawdle BEFORE INSERT ON idempotency_keys \
     FOR EACH ROW EXECUTE FUNCTION dawdle()";

/// Runbook: `docs/runbooks/overload.md`
///
/// Twice as many orders as can be done. What is done then must stay near what is done
/// without overload ("goodput"), and nobody may wait long to be refused.
#[tokio::test(flavor = "multi_thread")]
async fn overload() {
    let settings = [
        "database.pool_size=4",
        "shed.floor=4",
        "shed.ceiling=64",
        "shed.target_latency=400ms",
    ];
    let mut stage = Stage::set("overload", &settings).await;
    let slow = stage.database().await.batch_execute(SLOW_ORDERS).await;
    slow.unwrap();

    // Two of three customers buy: ten orders a second, then twenty, then forty.
    let began = Instant::now();
    let load = stage.load(15).await;
    load.nobody_tries_again();
    load.more(15);
    let peak = orders_in_a_while(&load).await;
    load.more(30);
    let at_twice_the_load = orders_in_a_while(&load).await;
    assert_eq!(stage.service().probe("/readyz").await, Some(200));

    let seen = load.stop().await;
    let shed = stage.service().metric("orderly_requests_shed_total").await;
    assert!(
        at_twice_the_load * 10 >= peak * 7,
        "{peak} orders at the peak, only {at_twice_the_load} over it"
    );
    seen.only(&[Status(200), Status(201), Status(503)]);
    let refused = seen.count_since(began, Status(503)) as f64;
    assert!(refused > 0.0, "nobody was refused");
    assert!(
        shed >= refused * 0.9,
        "{refused} were refused, {shed} at the door"
    );
    seen.nobody_waited_longer_than(Duration::from_secs(6));
    stage.finish(&seen, Duration::ZERO).await;
}

/// How many orders were placed in a while from now on.
async fn orders_in_a_while(load: &Load) -> usize {
    let began = Instant::now();
    keep_it_so(A_WHILE).await;
    load.so_far(|seen| seen.count_since(began, Status(201)))
}

/// Runbook: `docs/runbooks/slow_clients.md`
///
/// More connections than requests are let in, each of which sends a byte now and then and
/// never an end: of its headers ("slow loris") or of its body. And some with headers
/// without end.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients() {
    let settings = [
        "http.request_head_timeout=2s",
        "http.request_body_timeout=2s",
        "shed.ceiling=100",
    ];
    let mut stage = Stage::set("slow_clients", &settings).await;
    let api = stage.service().api;
    let load = stage.load(20).await;

    let began = Instant::now();
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nhost: {api}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\nidempotency-key: slow\r\n",
        load.token()
    );
    let slow_body = format!("{head}content-length: 1000\r\n\r\n{{");
    let huge_header = format!("{head}x-huge: {}", "x".repeat(1_000_000));
    let mut crowd = JoinSet::new();
    for _ in 0..120 {
        crowd.spawn(drip(api, format!("{head}x-slow: ")));
        crowd.spawn(drip(api, slow_body.clone()));
    }
    for _ in 0..10 {
        crowd.spawn(drip(api, huge_header.clone()));
    }
    while let Some(ended) = crowd.join_next().await {
        let answer = ended.unwrap();
        let refused = ["", "HTTP/1.1 4", "HTTP/1.1 5"];
        assert!(
            refused.contains(&&answer[..answer.len().min(10)]),
            "{answer}"
        );
    }
    let thrown_out = began.elapsed();
    assert!(
        thrown_out < Duration::from_secs(8),
        "it took {thrown_out:?}"
    );

    let recovered = load.well_after(began).await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    stage.finish(&seen, recovered).await;
}

/// Sends `beginning` and then a byte now and then, until it is thrown out; returns the
/// answer, if there was one.
async fn drip(to: SocketAddr, beginning: String) -> String {
    let (mut read, mut write) = TcpStream::connect(to).await.unwrap().into_split();
    let drip = async {
        write.write_all(beginning.as_bytes()).await?;
        loop {
            keep_it_so(Duration::from_millis(200)).await;
            write.write_all(b"x").await?;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        Err::<(), std::io::Error>(_thrown_out) = drip => {}
        _ = read.read_to_end(&mut answer) => {}
    }
    String::from_utf8_lossy(&answer).into_owned()
}
