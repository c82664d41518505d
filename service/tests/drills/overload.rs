//! Too many clients, and ones who mean no good. The promise: as much is done as can be
//! done, the rest is refused at once, and nobody can occupy what others need.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use reqwest::RequestBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::environment::{DrillEnvironment, hold_for};
use crate::load::AttemptOutcome::Status;
use crate::load::LoadGenerator;

const MEASUREMENT_PERIOD: Duration = Duration::from_secs(8);
const MAX_RECOVERY: Duration = Duration::from_secs(5);

/// What a client who is not meant waits at most, on a busy machine.
const NORMAL_LATENCY: Duration = Duration::from_secs(3);

/// The quota of each client in `rate_limited`: more than a client needs, and much less
/// than one that asks without a pause.
const BURST: u32 = 50;
const PER_SECOND: u32 = 10;

/// Every order takes 200 ms in Postgres, and there are four connections: twenty orders a
/// second are all that can be done, on any machine.
const SLOW_ORDERS: &str = "CREATE FUNCTION delay_insert() RETURNS trigger LANGUAGE plpgsql AS \
     'BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END'; \
     CREATE TRIGGER delay_insert BEFORE INSERT ON idempotency_keys \
     FOR EACH ROW EXECUTE FUNCTION delay_insert()";

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
    let mut env = DrillEnvironment::start("overload", &settings).await;
    let slow = env.database().await.batch_execute(SLOW_ORDERS).await;
    slow.unwrap();

    // Two of three clients buy: ten orders a second, then twenty, forty, and ten again.
    let started_at = Instant::now();
    let load = env.start_load(15).await;
    load.disable_retries();
    let peak_load = load.add_rate(15);
    let peak = count_orders(&load).await;
    let overload = load.add_rate(30);
    let at_twice_the_load = count_orders(&load).await;
    assert_eq!(env.service().probe("/readyz").await, Some(200));
    overload.cancel();
    peak_load.cancel();
    let recovered = load
        .assert_recovery_within(MAX_RECOVERY, Instant::now())
        .await;

    let results = load.stop().await;
    let shed = env.service().metric("orderly_requests_shed_total").await;
    assert!(
        at_twice_the_load * 100 >= peak * 85,
        "{peak} orders at the peak, only {at_twice_the_load} over it"
    );
    results.assert_outcomes(&[Status(200), Status(201), Status(503)]);
    let rejected = results.count_since(started_at, Status(503)) as f64;
    assert!(rejected > 0.0, "no order was rejected");
    assert!(
        shed >= rejected * 0.9,
        "{rejected} were rejected, {shed} of them shed"
    );
    results.assert_rejection_latency_below(Duration::from_secs(2));
    results.assert_latency_below(Duration::from_secs(6));
    env.finish(&results, recovered).await;
}

/// How many orders were placed in a while from now on.
async fn count_orders(load: &LoadGenerator) -> usize {
    let started_at = Instant::now();
    hold_for(MEASUREMENT_PERIOD).await;
    load.inspect(|results| results.count_since(started_at, Status(201)))
}

/// Runbook: `docs/runbooks/slow_clients.md`
///
/// More connections than requests are let in, each of which sends a byte now and then and
/// never an end: of its headers ("slow loris") or of its body. And some with headers
/// without end. What is measured is when the last of them was thrown out.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients() {
    let settings = [
        "http.request_head_timeout=2s",
        "http.request_body_timeout=2s",
        "load_shedding.max_limit=100",
    ];
    let mut env = DrillEnvironment::start("slow_clients", &settings).await;
    let api = env.service().api;
    let load = env.start_load(20).await;

    let started_at = Instant::now();
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nhost: {api}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\nidempotency-key: slow\r\n",
        load.token()
    );
    let slow_body = format!("{head}content-length: 1000\r\n\r\n{{");
    let huge_header = format!("{head}x-huge: {}", "x".repeat(1_000_000));
    let mut connections = JoinSet::new();
    for _ in 0..120 {
        connections.spawn(send_slowly(api, format!("{head}x-slow: ")));
        connections.spawn(send_slowly(api, slow_body.clone()));
    }
    for _ in 0..10 {
        connections.spawn(send_slowly(api, huge_header.clone()));
    }
    while let Some(ended) = connections.join_next().await {
        let response = ended.unwrap();
        let rejected = ["", "HTTP/1.1 4", "HTTP/1.1 5"];
        assert!(
            rejected.contains(&&response[..response.len().min(10)]),
            "{response}"
        );
    }
    let closed_after = started_at.elapsed();
    assert!(
        closed_after < Duration::from_secs(8),
        "it took {closed_after:?}"
    );

    load.wait_until_healthy().await;
    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, closed_after).await;
}

/// Sends `beginning` and then a byte now and then, until it is thrown out; returns the
/// answer, if there was one.
async fn send_slowly(to: SocketAddr, beginning: String) -> String {
    let (mut read, mut write) = TcpStream::connect(to).await.unwrap().into_split();
    let sending = async {
        write.write_all(beginning.as_bytes()).await?;
        loop {
            hold_for(Duration::from_millis(200)).await;
            write.write_all(b"x").await?;
        }
    };
    let mut response = Vec::new();
    tokio::select! {
        Err::<(), std::io::Error>(_closed) = sending => {}
        _ = read.read_to_end(&mut response) => {}
    }
    String::from_utf8_lossy(&response).into_owned()
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
    let mut env =
        DrillEnvironment::start("rate_limited", &settings.each_ref().map(String::as_str)).await;
    let load = env.start_load(20).await;
    let url = format!("http://{}/v1/orders", env.service().api);
    let request = reqwest::Client::new()
        .get(url)
        .bearer_auth(load.register_client().await);

    let started_at = Instant::now();
    let mut flooding = JoinSet::new();
    for _ in 0..8 {
        flooding.spawn(send_without_pause(request.try_clone().unwrap()));
    }
    let responses = flooding.join_all().await.concat();
    let ended = Instant::now();
    let accepted = responses
        .iter()
        .filter(|response| matches!(response, (200, None)))
        .count();
    let retry_delays: Vec<u64> = (responses.iter())
        .filter_map(|response| match response {
            (429, retry_after) => Some(retry_after.expect("Retry-After")),
            _ => None,
        })
        .collect();
    assert_eq!(
        accepted + retry_delays.len(),
        responses.len(),
        "it got something else"
    );
    assert!(!retry_delays.is_empty(), "the flood was let through");
    // Twice: where Redis is slow to say, the replica counts alone, from the beginning.
    let quota = u64::from(BURST) + (ended - started_at).as_secs() * u64::from(PER_SECOND);
    assert!(
        accepted as u64 <= 2 * quota,
        "{accepted} served, of {quota}"
    );
    let limited = r#"orderly_requests_rate_limited_total{class="read"}"#;
    assert!(env.service().metric(limited).await >= retry_delays.len() as f64);

    let longest = retry_delays.into_iter().max().unwrap();
    hold_for(Duration::from_secs(longest)).await;
    assert_eq!(request.send().await.unwrap().status(), 200);
    let recovered = ended.elapsed();
    assert!(
        recovered <= MAX_RECOVERY,
        "it was limited for {recovered:?}"
    );

    let results = load.stop().await;
    results.assert_outcomes(&[Status(200), Status(201)]);
    results.assert_latency_below(NORMAL_LATENCY);
    env.finish(&results, recovered).await;
}

/// The statuses that it gets in a while, with what `Retry-After` says.
async fn send_without_pause(request: RequestBuilder) -> Vec<(u16, Option<u64>)> {
    let mut responses = Vec::new();
    let started_at = Instant::now();
    while started_at.elapsed() < MEASUREMENT_PERIOD {
        let response = request.try_clone().unwrap().send().await.unwrap();
        let retry_after = response.headers().get("retry-after");
        let seconds = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
        responses.push((response.status().as_u16(), seconds));
    }
    responses
}
