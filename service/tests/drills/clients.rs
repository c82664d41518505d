//! Too many customers, and ones who mean no good. The promise: as much is done as can be
//! done, the rest is refused at once, and nobody can occupy what others need.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use reqwest::RequestBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::load::Load;
use crate::load::Outcome::Status;
use crate::stage::{Stage, keep_it_so};

const A_WHILE: Duration = Duration::from_secs(8);
const SOON: Duration = Duration::from_secs(5);

/// What a customer who is not meant waits at most, on a busy machine.
const AS_ALWAYS: Duration = Duration::from_secs(3);

/// The quota of each client in `rate_limited`: more than a customer needs, and much less
/// than one that asks without a pause.
const BURST: u32 = 50;
const PER_SECOND: u32 = 10;

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
        "load_shedding.min_limit=4",
        "load_shedding.max_limit=64",
        "load_shedding.target_latency=400ms",
    ];
    let mut stage = Stage::set("overload", &settings).await;
    let slow = stage.database().await.batch_execute(SLOW_ORDERS).await;
    slow.unwrap();

    // Two of three customers buy: ten orders a second, then twenty, forty, and ten again.
    let began = Instant::now();
    let load = stage.load(15).await;
    load.nobody_tries_again();
    let as_many_as_can_be_served = load.more(15);
    let peak = orders_in_a_while(&load).await;
    let too_many = load.more(30);
    let at_twice_the_load = orders_in_a_while(&load).await;
    assert_eq!(stage.service().probe("/readyz").await, Some(200));
    too_many.cancel();
    as_many_as_can_be_served.cancel();
    let recovered = load.well_within(SOON, Instant::now()).await;

    let seen = load.stop().await;
    let shed = stage.service().metric("orderly_requests_shed_total").await;
    assert!(
        at_twice_the_load * 100 >= peak * 85,
        "{peak} orders at the peak, only {at_twice_the_load} over it"
    );
    seen.only(&[Status(200), Status(201), Status(503)]);
    let refused = seen.count_since(began, Status(503)) as f64;
    assert!(refused > 0.0, "nobody was refused");
    assert!(
        shed >= refused * 0.9,
        "{refused} were refused, {shed} at the door"
    );
    seen.nobody_was_refused_later_than(Duration::from_secs(2));
    seen.nobody_waited_longer_than(Duration::from_secs(6));
    stage.finish(&seen, recovered).await;
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
/// without end. What is measured is when the last of them was thrown out.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients() {
    let settings = [
        "http.request_header_timeout=2s",
        "http.request_body_timeout=2s",
        "load_shedding.max_limit=100",
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

    load.flows().await;
    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    seen.nobody_waited_longer_than(AS_ALWAYS);
    stage.finish(&seen, thrown_out).await;
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

/// Runbook: `docs/runbooks/rate_limited.md`
///
/// One client asks as fast as it can. It gets its quota, and is told when to come back;
/// the others notice nothing. What is measured is when it is served again, waiting as told.
#[tokio::test(flavor = "multi_thread")]
async fn rate_limited() {
    let settings = [
        format!("rate_limit.read_per_minute={}", PER_SECOND * 60),
        format!("rate_limit.read_burst={BURST}"),
    ];
    let mut stage = Stage::set("rate_limited", &settings.each_ref().map(String::as_str)).await;
    let load = stage.load(20).await;
    let url = format!("http://{}/v1/orders", stage.service().api);
    let ask = reqwest::Client::new()
        .get(url)
        .bearer_auth(load.stranger().await);

    let began = Instant::now();
    let mut flood = JoinSet::new();
    for _ in 0..8 {
        flood.spawn(as_fast_as_it_can(ask.try_clone().unwrap()));
    }
    let answers = flood.join_all().await.concat();
    let ended = Instant::now();
    let served = answers
        .iter()
        .filter(|answer| matches!(answer, (200, None)))
        .count();
    let refusals: Vec<u64> = (answers.iter())
        .filter_map(|answer| match answer {
            (429, retry_after) => Some(retry_after.expect("Retry-After")),
            _ => None,
        })
        .collect();
    assert_eq!(
        served + refusals.len(),
        answers.len(),
        "it got something else"
    );
    assert!(!refusals.is_empty(), "the flood was let through");
    // Twice: where Redis is slow to say, the replica counts alone, from the beginning.
    let quota = u64::from(BURST) + (ended - began).as_secs() * u64::from(PER_SECOND);
    assert!(served as u64 <= 2 * quota, "{served} served, of {quota}");
    let limited = r#"orderly_requests_rate_limited_total{class="read"}"#;
    assert!(stage.service().metric(limited).await >= refusals.len() as f64);

    let longest = refusals.into_iter().max().unwrap();
    keep_it_so(Duration::from_secs(longest)).await;
    assert_eq!(ask.send().await.unwrap().status(), 200);
    let recovered = ended.elapsed();
    assert!(recovered <= SOON, "it was kept out for {recovered:?}");

    let seen = load.stop().await;
    seen.only(&[Status(200), Status(201)]);
    seen.nobody_waited_longer_than(AS_ALWAYS);
    stage.finish(&seen, recovered).await;
}

/// The statuses that it gets in a while, with what `Retry-After` says.
async fn as_fast_as_it_can(ask: RequestBuilder) -> Vec<(u16, Option<u64>)> {
    let mut answers = Vec::new();
    let began = Instant::now();
    while began.elapsed() < A_WHILE {
        let answer = ask.try_clone().unwrap().send().await.unwrap();
        let retry_after = answer.headers().get("retry-after");
        let seconds = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
        answers.push((answer.status().as_u16(), seconds));
    }
    answers
}
